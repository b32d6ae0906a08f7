"""A link over a redis-py client, so that the store runs on fakeredis."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hiredis import Reader
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.errors import StoreUnavailable
from service.store.driver.replies import Waiting, translate
from service.store.driver.server_clock import ServerClock
from service.store.servers.links import servers_of
from service.store.servers.opening import Connect


def connector(url: str, *, timeout_seconds: float = 0.25, clock: ServerClock | None = None) -> Connect:
    """What opens a connection to the Redis of a URL."""
    return servers_of(url, timeout_seconds=timeout_seconds, clock=clock).connect


class ClientLink:
    """Asks by a client whose replies are left as Redis sends them."""

    def __init__(self, client: Redis) -> None:
        client.response_callbacks.clear()
        self.client = client
        self._asked: set[asyncio.Task[None]] = set()
        self.replication_id = b""
        self.sent_elsewhere = 0

    @property
    def turn(self) -> list[Waiting]:
        return []

    async def execute(self, *args: Any, retry: bool = False, operation: str = "") -> Any:
        try:
            return await self.client.execute_command(*args)
        except RedisError as error:
            raise translate(error) from error

    def submit(self, command: bytes, answer: Callable[[Any], None], *, retry: bool = False) -> None:
        # Read as a server does: a MAC may have the end of a line in it.
        reader = Reader()
        reader.feed(command)
        parts = reader.gets()
        task = asyncio.get_running_loop().create_task(self._ask(parts, answer))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _ask(self, parts: list[bytes], answer: Callable[[Any], None]) -> None:
        try:
            answer(await self.execute(*parts))
        except Exception as error:  # noqa: BLE001 - whatever it is goes to the one who asked
            answer(error)


class Wrapped:
    """A link before another one, for what a test wants to see or do on the way."""

    def __init__(self, link: Any) -> None:
        self.link = link

    @property
    def replication_id(self) -> bytes:
        found: bytes = self.link.replication_id
        return found

    @property
    def turn(self) -> list[Waiting]:
        """Of one that sees what is submitted always another one, so that nothing gets past it."""
        turn: list[Waiting] = self.link.turn
        return turn if type(self).submit is Wrapped.submit else []

    @property
    def sent_elsewhere(self) -> int:
        found: int = self.link.sent_elsewhere
        return found

    def execute(self, *args: Any, **how: Any) -> Any:
        return self.link.execute(*args, **how)

    def submit(self, command: bytes, answer: Callable[[Any], None], *, retry: bool = False) -> None:
        self.link.submit(command, answer, retry=retry)


# What comes in between: is raised, or called and awaited. A list of it comes one after the other, once each.
Happening = Exception | Callable[[], Awaitable[object]] | list[Any]
AWAY = StoreUnavailable("The token store is not answering. Try again.")


class Interrupted(Wrapped):
    """A link on which something happens before a command is asked, or after it is done, in place of its reply.

    By the script's name, else that of the command; "" is whatever is asked. What a list still holds at the end of a
    test fails it: the test was about something that never happened.
    """

    def __init__(
        self, link: Any, *, before: dict[str, Happening] | None = None, after: dict[str, Happening] | None = None
    ) -> None:
        super().__init__(link)
        self.before, self.after = {**(before or {})}, {**(after or {})}

    async def execute(self, *args: Any, **how: Any) -> Any:
        name = how.get("operation") or args[0]
        await _happen(self.before.get(name, self.before.get("")))
        reply = await super().execute(*args, **how)
        await _happen(self.after.get(name, self.after.get("")))
        return reply

    def end(self) -> None:
        for name, what in (*self.before.items(), *self.after.items()):
            assert not isinstance(what, list) or not what, f"not all of what belongs to {name} happened"


async def _happen(what: Happening | None) -> None:
    if isinstance(what, list):
        what = what.pop(0) if what else None
    if isinstance(what, Exception):
        raise what
    if what is not None:
        await what()


def away(link: Any) -> Interrupted:
    """A link to a server that cannot be reached, until `before` is cleared."""
    return Interrupted(link, before={"": AWAY})


class Saying(Wrapped):
    """A link that gives this reply to whatever the fast path asks."""

    reply: Any = None

    def submit(self, command: bytes, answer: Callable[[Any], None], *, retry: bool = False) -> None:
        self.link.submit(command, lambda _: answer(self.reply), retry=retry)


class Recording(Wrapped):
    """Remembers what was asked: the command's name and its arguments, as given."""

    def __init__(self, link: Any) -> None:
        super().__init__(link)
        self.asked: list[tuple[Any, ...]] = []

    def execute(self, *args: Any, **how: Any) -> Any:
        self.asked.append(args)
        return super().execute(*args, **how)

    def names(self) -> list[str]:
        return [args[0] for args in self.asked]


class Forgetful(Recording):
    """A server that has forgotten every script whenever one is called."""

    # One turn for all: on a fake, a lookup beside the two commands below would take the connection of the first.
    turn = None

    async def execute(self, *args: Any, **how: Any) -> Any:
        if args[0] != "EVALSHA":
            return await super().execute(*args, **how)
        # Next to each other, so that no call beside this one teaches the server the script in between.
        _, reply = await asyncio.gather(self.link.execute("SCRIPT", "FLUSH"), super().execute(*args, **how))
        return reply


def busy(lost: str, failures: list[int], *, is_done: bool = False) -> type[Recording]:
    """Links on which the command or script of that name is refused once for each of the failures, taking them.

    The last comes first; where it is 0 the command goes through. With `is_done` one that is refused is carried out all
    the same where it is awaited, and its reply lost.
    """

    class Busy(Recording):
        async def execute(self, *args: Any, **how: Any) -> Any:
            if how.get("operation") != lost or not failures or not failures.pop():
                return await super().execute(*args, **how)
            if is_done:
                await super().execute(*args, **how)
            raise StoreUnavailable("busy")

        def submit(self, command: bytes, answer: Callable[[Any], None], *, retry: bool = False) -> None:
            if lost.encode() in command and failures and failures.pop():
                answer(StoreUnavailable("busy"))
            else:
                super().submit(command, answer, retry=retry)

    return Busy
