"""One node: a pipeline, and beside it another one for what holds up everything behind it."""

from functools import partial
from typing import Any

from service.store.driver.connection import Link
from service.store.driver.pipeline import Pipeline
from service.store.servers.opening import Connect


class Node(Pipeline):
    """A pipeline with another one of its own kind, connected by its first use, on a second connection to the same node.

    A command that this one should send on to another node of a cluster fails there: who asks must know where it went.
    """

    def __init__(self, connect: Connect, *, redirected: Any = None, **how: Any) -> None:
        # Left out rather than None, which would take the place of the pipeline's own way.
        super().__init__(connect, **how, **({"redirected": redirected} if redirected else {}))
        self._make = partial(Node, connect, **how)
        self._beside: Node | None = None

    @property
    def beside(self) -> Link:
        self._beside = self._beside or self._make()
        return self._beside

    @property
    def idle(self) -> bool:
        """Does nobody wait for an answer on either?"""
        return super().idle and (self._beside is None or self._beside.idle)

    def find_again(self) -> None:
        """Leave the present server on both."""
        super().find_again()
        if self._beside is not None:
            self._beside.find_again()

    async def aclose(self) -> None:
        await super().aclose()
        if self._beside is not None:
            await self._beside.aclose()
