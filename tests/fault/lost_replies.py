"""Replies of Redis that are executed and never arrive, and what becomes of the tokens then."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import msgspec
from anyio.from_thread import start_blocking_portal

from tests.store.proxy import FaultProxy


@contextmanager
def proxied(socket_path: str) -> Iterator[FaultProxy]:
    """A proxy before Redis with a loop of its own, for tests that wait for a service in another process."""
    # The portal's loop ends what still serves a client that came at the last moment; one that is only closed leaves it.
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(FaultProxy(socket_path)) as proxy:
        yield proxy


class Losses(msgspec.Struct):
    """What lost replies did: replies swallowed, callers left in doubt, tokens that nobody or a second caller got."""

    swallowed: int = 0
    in_doubt: int = 0
    burnt: int = 0
    spent_twice: int = 0


# Asks to spend a token under an idempotency key: True or False for an answer, None for none.
Spend = Callable[[str, str], bool | None]


# A text of twenty bytes or more that is not INFO's; the reply to ROLE may stand before it, or the end of INFO's.
_RECORD = re.compile(rb"\$(?:[2-9]\d|\d{3})\r\n(?!# )")


def has_record(chunk: bytes) -> bool:
    """Is there a record among these replies?"""
    return _RECORD.search(chunk) is not None


def lose_replies(proxy: FaultProxy, spend: Spend, secrets: Iterable[str]) -> Losses:
    """Spend each token while the reply about it is lost once, ask again, then ask as somebody else."""
    losses = Losses()

    def swallow(chunk: bytes) -> bool:
        if not has_record(chunk):
            return False
        losses.swallowed += 1
        proxy.swallows = lambda _: False
        return True

    for number, secret in enumerate(secrets):
        proxy.swallows = swallow
        first = spend(secret, f"attempt-{number}")
        proxy.swallows = lambda _: False
        losses.in_doubt += first is None
        again = None
        while again is None:
            again = spend(secret, f"attempt-{number}")
        losses.burnt += not (first or again)
        losses.spent_twice += bool(spend(secret, f"stranger-{number}"))
    return losses
