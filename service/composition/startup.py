"""From the start to the end of a process: what it does beside answering, and what its settings mean before that."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.api.auth.callers import JwtReader
from service.api.auth.presented import Accepted, read_accepted
from service.api.http.base_url import read_base_url
from service.api.http.proxies import TrustedProxies
from service.api.http.public_address import PublicAddress
from service.composition.rules import Rules
from service.lifespan import Work
from service.metrics import Metrics
from service.settings import Settings, SettingsError
from service.store.driver.server_clock import ServerClock
from service.store.driver.shards import Shards
from service.store.servers.links import Servers, no_servers, servers_of
from service.tokens.accounts.accounts import Account, AccountsError, read_accounts
from service.tokens.audit.refusals import TELL_SECONDS


def repeated_work(rule: Rules, shards: Shards, metrics: Metrics) -> tuple[tuple[str, float, Work], ...]:
    """What every process does all the time: a name, every how many seconds, and the work."""

    async def flush_metrics() -> None:
        metrics.flush()

    return (
        # The operator's guide promises that a crash loses one second of it at most.
        ("usage", 1.0, rule.usage.flush),
        ("sweep", 1.0, rule.managed.sweeper.sweep),
        ("refusals", TELL_SECONDS, rule.audit.refusals.tell),
        # Until it is sealed an entry can be taken out unseen.
        ("seal", 1.0, rule.audit.checkpoints.seal),
        ("hygiene", 60.0, rule.hygiene.work),
        ("webhooks", 1.0, rule.webhooks.deliveries.work),
        # Until it is done, secrets that another process took in by a new rule are unknown here.
        ("imported", 1.0, rule.managed.imports.detect_imported),
        # Until it is done, a server that took over may accept what was ended just before.
        ("removals", 0.1, shards.send_removals_again),
        # A scrape sees what other workers counted only once they have flushed it.
        ("metrics", 0.1, flush_metrics),
    )


@contextmanager
def _reading(name: str, hint: str = "") -> Iterator[None]:
    """Raises SettingsError, which names the setting, for a value that cannot be used."""
    try:
        yield
    except (AccountsError, ValueError) as error:
        raise SettingsError(f"{name}: {str(error).rstrip('.')}{hint}") from None


def accounts_of(settings: Settings) -> dict[str, Account]:
    """The accounts of the file that the settings name. Raises SettingsError."""
    with _reading("TOKENS_ACCOUNTS_FILE"):
        return read_accounts(settings.accounts_path) if settings.accounts_path else {}


def redis_of(settings: Settings, clock: ServerClock, metrics: Metrics) -> Servers:
    """The servers that the settings name; without a URL, none that is ever asked. Raises SettingsError."""
    if not settings.redis_url:
        return no_servers()
    with _reading("TOKENS_REDIS_URL"):
        return servers_of(
            settings.redis_url,
            timeout_seconds=settings.redis_timeout_ms / 1000,
            clock=clock,
            on_error=metrics.redis_errors.inc,
            on_seconds=metrics.redis_took,
        )


def trusted_of(settings: Settings) -> TrustedProxies:
    """The networks of the proxies whose word on a client's address is believed. Raises SettingsError."""
    with _reading("TOKENS_TRUSTED_PROXIES", ": write addresses or networks, comma separated"):
        return TrustedProxies(part for part in settings.trusted_proxies.split(",") if part.strip())


def accepted_of(settings: Settings) -> Accepted:
    """What presents a token where gateways ask. Raises SettingsError."""
    with _reading("TOKENS_ACCEPT_ALSO"):
        return read_accepted(settings.accept_also, basic=settings.accept_basic)


def address_of(settings: Settings, trusted: TrustedProxies) -> PublicAddress:
    """Under which address clients reach the service. Raises SettingsError."""
    with _reading(f"TOKENS_PUBLIC_URL={settings.public_url!r}"):
        return PublicAddress(read_base_url(settings.public_url) if settings.public_url else None, trusted)


def jwt_reader_of(settings: Settings, clock: Callable[[], float]) -> JwtReader | None:
    """Administrators' JWTs, if any are to be accepted; their library is loaded only then."""
    if not (settings.admin_jwt_secret or settings.admin_jwt_jwks):
        return None
    # A fifth of a second and 10 MB that most never need.
    from service.tokens.accounts.jwt import administrators  # noqa: PLC0415

    return administrators(settings, clock).subject
