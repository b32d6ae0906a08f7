"""The Redis that `serve` starts if none is configured, and the note about its data for the next start."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from service import embedded
from service.cli.failure import failing
from service.embedded.data_note import note_data
from service.keyring import Keyring
from service.settings import Settings

log = logging.getLogger("service")


@contextmanager
def running(settings: Settings) -> Iterator[Settings]:
    """The settings with the managed Redis. It runs as long as this context, and the service ends when it ends."""
    ended_early = threading.Event()

    def leave(why: str) -> None:
        log.error("%s", why)
        ended_early.set()
        # As a supervisor would expect: it restarts both, while this service alone would answer 503 forever.
        os.kill(os.getpid(), signal.SIGTERM)

    with failing(embedded.EmbeddedError):
        server = embedded.start(
            settings.data_path,
            redis_bin=settings.redis_bin,
            group_may_write=settings.data_dir_group,
            say=log.info,
            lost=leave,
        )
    try:
        yield msgspec.structs.replace(
            settings, redis_url=server.url, secret_key=settings.secret_key or server.secret_key
        )
    finally:
        server.close()
        if ended_early.is_set():
            raise SystemExit(1)


def note(settings: Settings) -> None:
    """Record for the next start and the doctor that there is data from now on."""
    # The service runs also without the note, as on a full disk.
    with suppress(OSError):
        note_data(settings.data_path, settings.namespace, Keyring(settings.secret_key).marks(settings.namespace)[0])
