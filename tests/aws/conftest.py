from __future__ import annotations

import pytest

from .scripted import CountingClock


@pytest.fixture
def clock() -> CountingClock:
    return CountingClock()


@pytest.fixture
def nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")
    for name in (
        *keys,
        "DEFAULT_REGION",
        "REGION",
        "PROFILE",
        "ENDPOINT_URL",
        "ENDPOINT_URL_LAMBDA",
    ):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(f"AWS_{name}", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
