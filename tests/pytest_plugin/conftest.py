from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def on_no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pytest end its output in the same short summary on a CI system as at a desk."""
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
