"""Identifiers of what is neither a token nor a secret."""

from __future__ import annotations

import secrets


def random_id() -> str:
    """Sixteen hex digits for what is neither a token nor a secret."""
    return secrets.token_hex(8)
