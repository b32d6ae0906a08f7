"""What one of several worker processes runs."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import wait

from uvicorn.config import STARTUP_FAILURE

from service.api.http.application import Application
from service.app import from_environment
from service.settings import SettingsError


def application() -> Application:
    """The application, in a process that ends when its parent is gone: nobody else would end it then."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    try:
        return from_environment()
    except SettingsError as error:
        logging.getLogger("service").error("%s", error)
        # Tells the parent not to try again.
        sys.exit(STARTUP_FAILURE)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
