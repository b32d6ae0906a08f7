"""Where the service is: TOKENS_URL, or the port that `serve` uses under the same settings."""

import os
import re
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from service.addresses import bracketed, is_host, read_hosts
from service.cli.failure import WrongUsage

LOOPBACK_OF_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound to, but read as "this machine"
_PORT = re.compile(r"[0-9]{1,5}")


class Address(NamedTuple):
    """The parts of a base URL; `prefix` is a path without its last slash."""

    scheme: str
    host: str
    port: int | None
    prefix: str

    def __str__(self) -> str:
        return f"{self.scheme}://{bracketed(self.host)}{f':{self.port}' if self.port else ''}{self.prefix}"


def service_address() -> Address:
    """The address of the running service. Raises WrongUsage, which names the setting without an address."""
    # Not by `settings.read`, which would refuse a client for settings that only `serve` needs.
    url = os.environ.get("TOKENS_URL", "").strip()
    if not url:
        return _local()
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    # Paths are appended to it, so it cannot have a user name, a query or a fragment.
    if (
        not is_host(host)
        or parts.scheme not in ("http", "https")
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
    ):
        # A password may stand before the @.
        given = "" if "@" in url else f"={url}"
        raise WrongUsage(f"TOKENS_URL{given}: write it like https://tokens.example.org")
    # A request line may only have ASCII without blanks.
    return Address(parts.scheme, host, port, quote(parts.path.rstrip("/"), safe="/%"))


def _local() -> Address:
    given = read_hosts(os.environ.get("TOKENS_HOST", ""))
    host = next((one for one in given if not one.startswith("unix:")), "")
    if not host and given:
        raise WrongUsage("TOKENS_HOST has unix sockets alone: set TOKENS_URL to where the gateway has the service")
    if host and not is_host(host):
        raise WrongUsage(f"TOKENS_HOST={host}: write an address, as for `serve`")
    host, port = host or "127.0.0.1", os.environ.get("TOKENS_PORT", "").strip() or "8080"
    # 0 means any free port, which only the log of `serve` names.
    if not _PORT.fullmatch(port) or not 0 < int(port) <= 65535:
        raise WrongUsage(f"TOKENS_PORT={port}: write a number from 1 to 65535, or set TOKENS_URL")
    scheme = "https" if os.environ.get("TOKENS_TLS_CERT_FILE", "").strip() else "http"
    return Address(scheme, LOOPBACK_OF_ANY.get(host, host), int(port), "")
