"""The documents that are made from the code are current, and say all that there is to say."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

import async_durable_execution_runner as package
from async_durable_execution_runner import errors
from async_durable_execution_runner.core.model import OperationType
from async_durable_execution_runner.core.operations import RULES, TRIGGERS

DOCS = Path(__file__).parent.parent / "docs"
SOURCES = [path.read_text(encoding="utf-8") for path in Path(package.__path__[0]).rglob("[!_]*.py")]

spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
assert spec is not None
assert spec.loader is not None
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    """If not: `python docs/generate.py`."""
    assert (DOCS / name).read_text(encoding="utf-8") == generate.PAGES[name]()


def test_the_check_names_what_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "HERE", tmp_path)
    monkeypatch.setattr("sys.argv", ["generate.py"])
    generate.main()
    monkeypatch.setattr("sys.argv", ["generate.py", "--check"])
    generate.main()
    (tmp_path / "errors.md").write_text("old")
    with pytest.raises(SystemExit, match=r"^Not current: errors\.md\. Run"):
        generate.main()


def test_every_rule_and_trigger_has_a_row() -> None:
    page = generate.transitions()
    assert [f"## {type.value}" in page for type in OperationType] == [True] * len(OperationType)
    assert len(re.findall(r"^\| (?!---|action)", page, re.M)) == len(RULES) + len(TRIGGERS)


def test_every_error_is_explained() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type)}
    page = generate.error_reference()
    for error in classes & {*_below(errors.RunnerError)}:
        assert error.__doc__, f"{error.__name__} has no docstring"
        assert f"`{error.__name__}`" in page


def _below(error: type) -> list[type]:
    return [error, *(deeper for below in error.__subclasses__() for deeper in _below(below))]


def test_every_cause_that_the_code_gives_is_explained_and_no_other() -> None:
    given = set()
    for source in SOURCES:
        given |= set(
            re.findall(r'"((?:Runtime|Sandbox|Callback|ChainedInvoke)\.[A-Z]\w+)"', source)
        )
        given |= set(re.findall(r'ErrorObject\([^()]*?"(\w+Exception)"', source))
    assert given | {errors.ResourceNotFound.code} == {*generate.CAUSES, *generate.ENDS}


def test_the_picture_of_the_layers_is_the_contract() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    picture = re.search(r"^```layers\n(.*?)^```$", text, re.M | re.S)
    assert picture is not None
    layers = [re.split(r" {2,}", line)[0] for line in picture[1].splitlines()]
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert layers == project["tool"]["importlinter"]["contracts"][0]["layers"]


def test_every_file_that_contributors_are_sent_to_is_there() -> None:
    text = (DOCS / "contributing.md").read_text(encoding="utf-8")
    named = {name for name in re.findall(r"`([\w/]+\.(?:py|proto|toml))`", text) if "/" in name}
    assert len(named) > 20
    places = (DOCS.parent, Path(package.__path__[0]))
    missing = {name for name in named if not any((place / name).exists() for place in places)}
    assert not missing


def test_what_a_suite_is_moved_to_is_there(pytestconfig: pytest.Config) -> None:
    text = (DOCS / "moving.md").read_text(encoding="utf-8")
    here = "\n".join(re.findall(r"^\|[^|]*\|([^|]*)\|$", text, re.M))
    methods = set(re.findall(r"\brunner\.(\w+)", here))
    flags = set(re.findall(r"--durable-\w+", here))
    names = set(re.findall(r"\b\w*DurableFunction\w+|\b\w+NotFound\b", here))
    assert min(len(methods), len(flags), len(names)) >= 3
    assert methods <= {*dir(package.DurableFunctionTestRunner)}
    assert names <= {*package.__all__}
    for flag in flags:
        pytestconfig.getoption(flag)
