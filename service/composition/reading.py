"""What settings say of how requests are read, and of who may sign in: all of it that can be wrong, without Redis.

Imports little: the parent of several workers reads it, too, before anything starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from service.api.auth.presented import Accepted, read_accepted
from service.api.http.proxies import TrustedProxies
from service.api.http.public_address import PublicAddress, read_base_url
from service.settings import Settings, SettingsError, without_passwords
from service.tokens.accounts.accounts import Account, AccountsError, read_accounts

if TYPE_CHECKING:
    from service.api.auth.callers import JwtReader


class Reading(NamedTuple):
    """How requests are read: administrators' JWTs, proxies to believe, tokens where gateways ask, our own address."""

    jwt: JwtReader | None
    trusted: TrustedProxies
    accepted: Accepted
    address: PublicAddress


def reading_of(settings: Settings, clock: Callable[[], float]) -> Reading:
    """How requests are read. Raises SettingsError."""
    with naming("TOKENS_TRUSTED_PROXIES", ": write addresses or networks, comma separated"):
        trusted = TrustedProxies(settings.trusted_networks)
    jwt = _jwt_reader_of(settings, clock)
    with naming("TOKENS_ACCEPT_ALSO"):
        accepted = read_accepted(settings.accept_also, basic=settings.accept_basic)
    with naming(f"TOKENS_PUBLIC_URL={without_passwords(settings.public_url)!r}"):
        address = PublicAddress(read_base_url(settings.public_url) if settings.public_url else None, trusted)
    return Reading(jwt, trusted, accepted, address)


def accounts_of(settings: Settings) -> dict[str, Account]:
    """Who may sign in. Raises SettingsError."""
    with naming("TOKENS_ACCOUNTS_FILE"):
        return read_accounts(settings.accounts_path) if settings.accounts_path else {}


@contextmanager
def naming(name: str, hint: str = "") -> Iterator[None]:
    """Raises SettingsError, which names the setting, for a value that cannot be used."""
    try:
        yield
    except (AccountsError, ValueError) as error:
        raise SettingsError(f"{name}: {str(error).rstrip('.')}{hint}") from None


def _jwt_reader_of(settings: Settings, clock: Callable[[], float]) -> JwtReader | None:
    """Administrators' JWTs, if any are to be accepted; their library is loaded only then."""
    if not (settings.admin_jwt_secret or settings.admin_jwt_jwks):
        return None
    # A fifth of a second and 10 MB that most never need.
    from service.tokens.accounts.jwt import administrators  # noqa: PLC0415

    return administrators(settings, clock).subject
