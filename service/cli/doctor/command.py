"""`doctor`: checks everything that the service needs, one by one; this file checks what is on this machine."""

import asyncio
import http.client
import logging
import os
import shutil
import ssl
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
import msgspec
from cryptography.x509 import load_pem_x509_certificate

from service.api.metrics_port import bound
from service.app import create_app
from service.cli.client.address import LOOPBACK_OF_ANY, Address
from service.cli.client.http import PROBE_SECONDS, Client
from service.cli.doctor.redis_server import FAILED, OK, WARNING, Finding, redis_of
from service.cli.failure import Failure
from service.cli.serve.first_start import accounts_path
from service.cli.serve.sockets import answers_at, holds_no_socket, listen
from service.cli.serve.tls import Certificate
from service.cli.terminal.output import on_terminal
from service.cli.terminal.report import Report, ReportCommand, said, table
from service.embedded import EmbeddedError
from service.embedded.prerequisites import (
    fits_socket,
    key_path,
    others_may_write,
    read_server_key,
    refuse_lost_key,
)
from service.errors import StartRefused
from service.settings import UNIX, Settings, SettingsError, read
from service.tokens.accounts.accounts import AccountsError, lack_of, read_accounts
from service.user_files import is_missing

# Redis rewrites its append-only file beside the old one, so both need room for a while.
_NEEDED_BYTES = 100 * 1024 * 1024
_data, _key, _accounts, _port = (
    partial(Finding, check) for check in ("data directory", "server key", "accounts", "port")
)


@click.command(cls=ReportCommand)
def doctor() -> Report:
    """Check everything that the service needs.

    Settings, data directory, server key, Redis, clock, accounts, certificate, port. Starts and changes nothing.
    Exit 1 if something failed.
    """
    # What the connections log is in the findings already.
    logging.getLogger("service").addHandler(logging.NullHandler())
    found = _examine()
    results = [finding.result for finding in found]
    return Report(
        [finding._asdict() for finding in found],
        table(("RESULT", "CHECK", "FOUND"), [(one.result, one.check, one.detail) for one in found]),
        said(f"{results.count(FAILED)} failed, {results.count(WARNING)} warnings") if on_terminal() else None,
        # Not a `Failure`, which would print a reason: the findings have it already.
        failure=SystemExit(1) if FAILED in results else None,
    )


def _examine() -> list[Finding]:
    try:
        settings = read(os.environ)
        # Built as at a start. Accounts have a check of their own; no connection is made before the service runs.
        create_app(msgspec.structs.replace(settings, accounts_file=""))
    except SettingsError as error:
        return [Finding("settings", FAILED, str(error))]
    found = [Finding("settings", OK, "no unknown name, every value in bounds")]
    if not settings.redis_url:
        found.append(data_directory(settings))
    found.append(server_key(settings))
    found += asyncio.run(redis_of(settings))
    found.append(accounts(settings))
    if settings.tls_cert_file:
        found.append(certificate(settings))
    return found + ports(settings)


def data_directory(settings: Settings) -> Finding:
    """Private, writable, with room; or a place where it can be made."""
    folder = settings.data_path
    # The nearest existing directory, because a missing one would be made below it.
    place = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return _data(FAILED, f"{place} cannot be written: name another TOKENS_DATA_DIR")
    if place == folder:
        facts = folder.stat()
        # Root may check the directory for the user who serves, and must not be told to make it root's.
        owner = facts.st_uid if os.geteuid() == 0 else None
        if others_may_write(facts, group=settings.data_dir_group, owner=owner):
            return _data(FAILED, f"others may write in {folder}: make it yours alone (chown, chmod 700)")
    free = shutil.disk_usage(place).free
    if free < _NEEDED_BYTES:
        return _data(WARNING, f"{place} has only {free >> 20} MiB left: free some, or Redis will stop writing")
    if place != folder:
        return _data(OK, f"{folder} will be made at the first start")
    return _data(OK, f"{folder} of user {folder.stat().st_uid}, {free >> 30} GiB free")


def server_key(settings: Settings) -> Finding:
    """Given, or in the data directory."""
    if settings.secret_key:
        also = ", and the previous one" if settings.secret_key_previous else ""
        return _key(OK, f"given in TOKENS_SECRET_KEY{also}")
    path = key_path(settings.data_path)
    try:
        refuse_lost_key(settings.data_path)
        if is_missing(path):
            return _key(OK, "will be made at the first start")
        read_server_key(settings.data_path)
    except EmbeddedError as error:
        return _key(FAILED, str(error))
    if path.stat().st_mode & 0o077:
        return _key(WARNING, f"others may read {path}: chmod 600")
    return _key(OK, str(path))


def accounts(settings: Settings) -> Finding:
    """Readable, with an account that can sign in and administer."""
    if not settings.accounts_file and settings.redis_url:
        return _accounts(WARNING, "no TOKENS_ACCOUNTS_FILE: nobody can sign in with a password")
    path = accounts_path(settings)
    if not settings.accounts_file and is_missing(path):
        return _accounts(OK, "one will be made at the first start")
    try:
        found = read_accounts(path)
    except AccountsError as error:
        return _accounts(FAILED, str(error))
    if lack := lack_of(path, found):
        return _accounts(WARNING, lack)
    if path.stat().st_mode & 0o077:
        return _accounts(WARNING, f"others may read the hashes in {path}: chmod 600")
    return _accounts(OK, f"{len(found)} in {path}")


def ports(settings: Settings) -> list[Finding]:
    """Every address it listens on: free, or taken by this same service."""
    with ExitStack() as held:
        # All sockets are held until the last was tried, because the same address cannot be taken twice.
        found = [_place(settings, host, held) for host in settings.hosts]
        if settings.metrics_port:
            found.append(_metrics_port(settings, held))
    return found


def _metrics_port(settings: Settings, held: ExitStack) -> Finding:
    try:
        for listener in bound(settings.hosts, settings.metrics_port):
            held.enter_context(listener)
    except StartRefused as refusal:
        return Finding("metrics port", FAILED, str(refusal))
    return Finding("metrics port", OK, f"{settings.metrics_port} is free, or this user's own")


def _place(settings: Settings, host: str, held: ExitStack) -> Finding:
    if host.startswith(UNIX):
        return _unix_socket(Path(host.removeprefix(UNIX)))
    if not settings.port:
        return _port(OK, "a free one will be taken")
    try:
        held.enter_context(listen(host, settings.port))
    except Failure as failure:
        scheme = "https" if settings.tls_cert_file else "http"
        running = _running_version(Address(scheme, LOOPBACK_OF_ANY.get(host, host), settings.port, ""))
        if running is None:
            return _port(FAILED, str(failure.message))
        return _port(OK, f"token-service {running} answers at {settings.port}")
    return _port(OK, f"{settings.port} is free")


def _unix_socket(path: Path) -> Finding:
    if answers_at(path):
        return _port(OK, f"somebody answers at {path}")
    if holds_no_socket(path):
        return _port(FAILED, f"{path} is there and no socket: remove it, or choose another TOKENS_HOST")
    if not fits_socket(str(path)):
        return _port(FAILED, f"{path} is longer than the path of a socket may be: choose another TOKENS_HOST")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return _port(FAILED, f"{path.parent} cannot be written: choose another TOKENS_HOST")
    return _port(OK, f"{path} will be made")


def certificate(settings: Settings) -> Finding:
    """The TLS certificate and its key: usable, and valid today."""
    try:
        Certificate(settings).read()
    except Failure as failure:
        return Finding("certificate", FAILED, str(failure.message))
    first = load_pem_x509_certificate(Path(settings.tls_cert_file).read_bytes())
    ends_at, now = first.not_valid_after_utc, datetime.now(UTC)
    said = f"{settings.tls_cert_file} is valid from {first.not_valid_before_utc:%F %R} to {ends_at:%F %R} UTC"
    if not first.not_valid_before_utc <= now <= ends_at:
        return Finding("certificate", FAILED, f"{said}, and clients refuse it today: put another in its place")
    return Finding("certificate", OK, said)


def _running_version(address: Address) -> str | None:
    # Not verified: no secret is sent, and a certificate may be expired or for another name.
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    try:
        answer = Client(address, read_seconds=PROBE_SECONDS, tls=tls).ask("GET", "/livez")
    except Failure:
        return None
    version = answer.json().get("version")
    return version if answer.status == http.client.OK and isinstance(version, str) else None
