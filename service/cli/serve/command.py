"""`serve`: from the settings to a listening service, and its orderly end."""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import click
import msgspec

from service import __version__, logs
from service.api.metrics_port import bound
from service.cli.failure import empty, failing
from service.cli.serve.listener import run
from service.cli.serve.sockets import listening, service_manager
from service.cli.serve.tls import Certificate
from service.cli.terminal.new_password import short_option
from service.cli.terminal.options import Number
from service.composition.reading import accounts_of, reading_of
from service.errors import StartRefused
from service.settings import Settings, SettingsError, is_service_link, read
from service.tokens.accounts.accounts import lack_of

log = logging.getLogger("service")
_PASSED_OVER = (
    "TOKENS_ADMIN_PASSWORD is passed over: it makes the first account beside a managed Redis only, where no accounts "
    "file is named; make accounts with token-service accounts add NAME --role admin"
)
_ENDINGS = (signal.SIGTERM, signal.SIGINT)


@click.command()
@click.option("--host", help="Addresses to listen on, or unix:/path; overrides TOKENS_HOST.")
@click.option("--port", type=Number(0, 65535), help="Port, 0 for a free one; overrides TOKENS_PORT.")
@click.option("--workers", type=Number(1, 256), help="Processes; overrides TOKENS_WORKERS.")
@short_option
def serve(host: str | None, port: int | None, workers: int | None, allow_short: bool) -> None:
    """Run the service.

    Uses the Redis of TOKENS_REDIS_URL, or starts its own in TOKENS_DATA_DIR. Ends on SIGTERM or Ctrl-C when open
    requests are answered; reads accounts and certificate again on SIGHUP. Listens on sockets that systemd passes, if
    any, and notifies systemd when requests are answered.
    """
    given = {"TOKENS_HOST": host, "TOKENS_PORT": port, "TOKENS_WORKERS": workers}
    with failing(SettingsError):
        settings = read({**os.environ, **{name: str(value) for name, value in given.items() if value is not None}})
        logs.configure(settings)
        if links := sorted(name for name, value in os.environ.items() if is_service_link(name, value)):
            log.info("passed over what Kubernetes sets for a Service called `tokens`: %s", ", ".join(links))
        _serve(settings, allow_short=allow_short)


def _serve(settings: Settings, *, allow_short: bool) -> None:
    with _ended_by_signals() as held:
        certificate = Certificate(settings) if settings.tls_cert_file else None
        if certificate is not None:
            certificate.read()
        # First of all, because a wrong setting or a taken port must not start a Redis or make an account.
        reading_of(settings, time.time)
        listeners = held.enter_context(listening(settings))
        _check_metrics_port(settings)
        tell_ready = held.enter_context(service_manager())
        if settings.admin_password and (settings.redis_url or settings.accounts_file):
            log.warning(_PASSED_OVER)
        embedded = not settings.redis_url
        if embedded:
            # With a configured Redis none of this is needed.
            from service.cli.serve import first_start, managed_redis  # noqa: PLC0415

            first_start.check_accounts(settings, allow_short=allow_short)
            settings = held.enter_context(managed_redis.running(settings))
            settings = first_start.admin_account(settings, dashboard=f"{listeners.url}/dashboard/")
        if settings.accounts_path and (lack := lack_of(settings.accounts_path, accounts_of(settings))):
            log.warning(lack)
        # The password is no longer needed, and no worker may have it.
        settings = msgspec.structs.replace(settings, port=listeners.port, admin_password="")

        def ready() -> None:
            if embedded:
                managed_redis.note(settings)
            places = " and ".join(listeners.places)
            # On a full disk, or without a reader, requests must be answered all the same.
            with suppress(OSError):
                click.echo(f"token-service {__version__} listens on {places} (dashboard at /dashboard/)")
            empty(sys.stdout)
            tell_ready()

        run(settings, listeners.sockets, certificate, ready=ready)


def _check_metrics_port(settings: Settings) -> None:
    if settings.metrics_port:
        with failing(StartRefused):
            # Only checks that the port is free, because each process binds it again.
            for listener in bound(settings.hosts, settings.metrics_port):
                listener.close()


@contextmanager
def _ended_by_signals() -> Iterator[ExitStack]:
    """What to close at the end. A signal leads there, and no further signal interrupts the closing.

    uvicorn handles signals while it serves, and raises them again when it has ended.
    """
    before = {number: signal.signal(number, _leave) for number in _ENDINGS}
    try:
        with ExitStack() as held:
            try:
                yield held
            finally:
                for number in _ENDINGS:
                    signal.signal(number, signal.SIG_IGN)
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _leave(number: int, frame: object) -> None:
    # An exception, so that everything is closed on the way out.
    raise SystemExit(0)
