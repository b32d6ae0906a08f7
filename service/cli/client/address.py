"""Where the service is: TOKENS_URL, or the port that `serve` takes under the same settings."""

import os
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from service.addresses import bracketed, is_host
from service.cli.failure import WrongUsage

LOOPBACK_OF_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound to, but read as "this machine"


class Address(NamedTuple):
    """The parts of a base URL; `prefix` is a path without its last slash."""

    scheme: str
    host: str
    port: int | None
    prefix: str

    def __str__(self) -> str:
        return f"{self.scheme}://{bracketed(self.host)}{f':{self.port}' if self.port else ''}{self.prefix}"


def service_address() -> Address:
    """The address of the running service. Raises Failure for a TOKENS_URL that is none."""
    # Not by `settings.read`, which would refuse a client for settings that `serve` alone needs.
    url = os.environ.get("TOKENS_URL", "").strip() or _local_url()
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    # A user name, a query or a fragment has no place before the paths that are added to it.
    if not is_host(host) or parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment:
        raise WrongUsage(f"TOKENS_URL={url}: write it like https://tokens.example.org")
    # A request's line has ASCII alone, without blanks.
    return Address(parts.scheme, host, port, quote(parts.path.rstrip("/"), safe="/%"))


def _local_url() -> str:
    given = [part.strip() for part in os.environ.get("TOKENS_HOST", "").split(",")]
    host = next((one for one in given if one and not one.startswith("unix:")), "")
    if not host and any(given):
        raise WrongUsage("TOKENS_HOST has unix sockets alone: set TOKENS_URL to where the gateway has the service")
    host, port = host or "127.0.0.1", os.environ.get("TOKENS_PORT", "").strip() or "8080"
    scheme = "https" if os.environ.get("TOKENS_TLS_CERTIFICATE_FILE", "").strip() else "http"
    return f"{scheme}://{bracketed(LOOPBACK_OF_ANY.get(host, host))}:{port}"
