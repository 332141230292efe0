"""Fixtures of tests with a coordinator that was started by its command."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .team import Process, Team


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return Team(tmp_path_factory.mktemp("team") / "certificates")


@pytest.fixture
def standing(team: Team) -> Iterator[Process]:
    """A coordinator that logs."""
    options = ["--listen", "127.0.0.1:0", "--verbose", *team.server(), *team.tokens()]
    with Process("coordinator", *options) as process:
        yield process


@pytest.fixture
def address(standing: Process, team: Team, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where it listens; the environment has what clients show there."""
    for name, value in team.by_token("client").items():
        monkeypatch.setenv(name, value)
    return standing.says("listens on").split(" listens on ")[1].split(",")[0]
