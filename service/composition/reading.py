"""What the settings say about reading requests and about accounts: everything that can be wrong without Redis.

It imports little, because the parent of several workers reads it too, before anything starts.
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
    """How requests are read: administrators' JWTs, trusted proxies, further forms of tokens, the public address."""

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
    """The accounts that may sign in. Raises SettingsError."""
    with naming("TOKENS_ACCOUNTS_FILE"):
        return read_accounts(settings.accounts_path) if settings.accounts_path else {}


@contextmanager
def naming(name: str, hint: str = "") -> Iterator[None]:
    """Turns a ValueError or AccountsError inside the block into a SettingsError that names the setting."""
    try:
        yield
    except (AccountsError, ValueError) as error:
        raise SettingsError(f"{name}: {str(error).rstrip('.')}{hint}") from None


def _jwt_reader_of(settings: Settings, clock: Callable[[], float]) -> JwtReader | None:
    """The reader of administrators' JWTs, None if none are accepted. Only a reader loads the JWT library."""
    if not (settings.admin_jwt_secret or settings.admin_jwt_jwks):
        return None
    # The library takes 0.2 s and 10 MB, and most installations never need it.
    from service.tokens.accounts.jwt import administrators  # noqa: PLC0415

    return administrators(settings, clock).subject
