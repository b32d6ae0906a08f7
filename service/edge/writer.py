"""Coalesces an answer's head and the first chunk of its body into one write; uvicorn makes two."""

import asyncio

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class CoalescingWriter:
    """Takes the place of a cycle's transport. Not for HEAD, whose answer is a head alone."""

    __slots__ = ("_cycle", "_head", "_transport")

    def __init__(self, cycle: RequestResponseCycle, transport: asyncio.Transport) -> None:
        self._cycle = cycle
        self._transport = transport
        # None before the answer begins, empty when its head is on its way.
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        """Keep the head until more is written; a 100 Continue comes before it and waits for nothing."""
        if self._head is None and self._cycle.response_started:
            self._head = data
        elif self._head:
            head, self._head = self._head, b""
            self._transport.write(head + data)
        else:
            self._transport.write(data)

    def is_closing(self) -> bool:
        """As the transport's."""
        return self._transport.is_closing()

    def close(self) -> None:
        """As the transport's; a head without a body leaves first."""
        if self._head:
            self._transport.write(self._head)
        self._transport.close()
