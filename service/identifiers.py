"""Identifiers: the forms of those that come from outside, and a new one for what is neither a token nor a secret."""

import re
import secrets

TOKEN_ID = re.compile(r"[0-9a-f]{16}")
# What a client calls a request that it may repeat: printable characters.
REQUEST_KEY = re.compile(r"[!-~]{1,64}")


def random_id() -> str:
    """Sixteen hex digits for what is neither a token nor a secret."""
    return secrets.token_hex(8)
