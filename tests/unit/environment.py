"""Environments that settings are read from, and what is said of those that stop the start."""

import pytest

from service.settings import SettingsError, read

KEY = "k" * 32
REDIS = {"TOKENS_REDIS_URL": "redis://localhost:6379/0", "TOKENS_SECRET_KEY": KEY}


def refusal(**environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read({f"TOKENS_{name}": value for name, value in environment.items()})
    message = str(caught.value)
    assert "\n" not in message
    return message
