"""Resolves the host names of receivers by the system."""

import asyncio
import socket
from contextlib import suppress
from threading import Thread

# More than anybody has receivers. A name whose servers do not answer keeps its thread for half a minute.
_MOST = 64


class Lookups:
    """One lookup of each name at a time, each in a thread of its own.

    The event loop has few threads for lookups, and needs them for Redis too: with four names that no server answers
    for, a lost connection to Redis would stay lost for twenty seconds. These threads do not delay the process's end.
    """

    def __init__(self) -> None:
        # An error is a result here: as an exception that nobody waits for any longer it would be logged.
        self._under_way: dict[tuple[str, int], asyncio.Future[list[str] | OSError]] = {}

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host name. Raises OSError, also if too many names are being resolved."""
        found = self._under_way.get((host, port)) or self._begin(host, port)
        # Shielded: a caller that stops waiting must not stop the lookup for the others.
        answer = await asyncio.shield(found)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _begin(self, host: str, port: int) -> asyncio.Future[list[str] | OSError]:
        if len(self._under_way) >= _MOST:
            raise OSError("too many names are being resolved")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[str] | OSError] = loop.create_future()

        def end(answer: list[str] | OSError) -> None:
            del self._under_way[host, port]
            found.set_result(answer)

        def find() -> None:
            answer: list[str] | OSError
            try:
                answer = _addresses(host, port)
            except OSError as error:
                answer = error
            # The event loop may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(end, answer)

        Thread(target=find, name="lookup", daemon=True).start()
        self._under_way[host, port] = found
        return found


def _addresses(host: str, port: int) -> list[str]:
    try:
        # One socket type, because otherwise each address comes once per type.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # Python encodes a name with IDNA before it asks the system, and refuses some names, such as `a..b`.
    except UnicodeError:
        raise OSError("not a host name") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
