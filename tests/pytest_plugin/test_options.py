"""Options of the command line and ini values: which wins, and what they say of nonsense."""

from __future__ import annotations

import os
from typing import Any

import pytest

from async_durable_execution_runner.pytest_plugin import options, standing

pytest_plugins = ["pytester"]

INI = """
    [tool.pytest.ini_options]
    durable_mode = "cloud"
    durable_workers = 3
    durable_isolation = "execution"
    durable_skip_time = false
    durable_invocation_timeout = 2.5
    durable_region = "eu-west-1"
"""


def test_the_command_line_wins_over_the_ini_file(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml(INI)
    config = pytester.parseconfig("--durable-workers=2", "--durable-execution-timeout=60")
    assert options.of_runner(config) == {
        "workers": 2,
        "isolation": "execution",
        "skip_time": False,
        "execution_timeout": 60.0,
        "invocation_timeout": 2.5,
    }
    assert options.is_cloud(config)
    assert options.value(config, "region") == "eu-west-1"
    assert not options.is_cloud(pytester.parseconfig("--durable-mode=local"))
    assert options.of_runner(pytester.parseconfig("--durable-skip-time=yes"))["skip_time"] is True


def test_nothing_is_said_where_nobody_said_it(pytester: pytest.Pytester) -> None:
    config = pytester.parseconfig()
    assert options.of_runner(config) == {}
    assert not options.is_cloud(config)


def test_the_options_coordinator_is_the_environments_for_the_session(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "DURABLE_RUNNER_COORDINATOR"
    pytester.makeini("[pytest]\ndurable_coordinator = coordinator.example:7000\n")
    monkeypatch.setenv(name, "another.example:7000")
    # An empty address stands for none, as in the environment.
    for given, wanted in ([], "coordinator.example:7000"), (["--durable-coordinator="], ""):
        config = pytester.parseconfig(*given)
        standing.use(config)
        assert os.environ[name] == wanted
        config._ensure_unconfigure()
        assert os.environ[name] == "another.example:7000"


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="the table is pytest 9's")
def test_a_toml_file_may_have_numbers_as_numbers(pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml(
        "[tool.pytest]\ndurable_workers = 3\ndurable_invocation_timeout = 2.5\n"
    )
    assert options.of_runner(pytester.parseconfig()) == {"workers": 3, "invocation_timeout": 2.5}


@pytest.mark.parametrize(
    ("arguments", "ini", "problem"),
    [
        (["--durable-workers=many"], "", "--durable-workers: 'many' is not a whole number."),
        (["--durable-workers=0"], "", "--durable-workers: '0' is not more than 0."),
        (["--durable-skip-time=perhaps"], "", "--durable-skip-time: 'perhaps' is not true or fal"),
        (["--durable-coordinator=here"], "", "'here' is not an address, as in coordinator.exam"),
        (["--durable-debug=65536"], "", "--durable-debug: '65536' is not a port, from 0 to 65535."),
        ([], "durable_isolation = moon", "tox.ini: 'moon' is not one of worker, execution,"),
        ([], "durable_workers = many", "durable_workers in "),
        (["--durable-mode=cloud", "--durable-replay"], "", "--durable-replay kills workers of one"),
    ],
)
def test_nonsense_is_a_usage_error(
    pytester: pytest.Pytester, arguments: list[Any], ini: str, problem: str
) -> None:
    pytester.makeini(f"[pytest]\n{ini}\n")
    with pytest.raises(pytest.UsageError) as caught:
        options.check(pytester.parseconfig(*arguments))
    assert problem in str(caught.value)
