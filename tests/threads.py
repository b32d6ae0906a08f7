"""What goes on in threads beside a test, until it is over."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beside(*work: Callable[[], object], over: threading.Event | None = None) -> Iterator[None]:
    """Does all of these at once, each in a thread; at the end sets `over`, by which they stop, and waits for all."""
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        if over is not None:
            over.set()
        for thread in threads:
            thread.join()
