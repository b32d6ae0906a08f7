"""What one of several worker processes runs; its settings come from its parent, never through the environment."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from uvicorn.config import STARTUP_FAILURE

from service import logs
from service.settings import Settings, SettingsError

if TYPE_CHECKING:
    from service.api.http.application import Application
    from service.lifespan import Work


def application(settings: Settings, *, on_reload: tuple[Work, ...] = ()) -> Application:
    """The application, in a process that ends when its parent is gone: nobody else would end it then."""
    make_without_collecting()
    # The parent hands this function on and needs nothing of the service itself.
    from service.app import create_app  # noqa: PLC0415

    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    logs.configure(settings)
    try:
        return create_app(settings, on_reload=on_reload)
    except SettingsError as error:
        logging.getLogger("service").error("%s", error)
        # Tells the parent not to try again.
        sys.exit(STARTUP_FAILURE)


def make_without_collecting() -> None:
    """Collect no garbage until the lifespan begins: what is made at the start stays, and most of it are modules."""
    gc.disable()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        # The sentinel of a process becomes ready when it has ended, however that came.
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
