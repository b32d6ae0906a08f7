"""One node: a pipeline, and a second one for commands that block everything behind them."""

from functools import partial
from typing import Any

from service.store.driver.connection import Link
from service.store.driver.pipeline import Pipeline
from service.store.servers.opening import Connect


class Node(Pipeline):
    """A pipeline with a second one `beside` it to the same node, which is connected at its first use.

    A command that belongs to another node of a cluster fails on the second one: its caller must know who executed it.
    """

    def __init__(self, connect: Connect, *, redirected: Any = None, **how: Any) -> None:
        # Left out rather than None, which would override the pipeline's default.
        super().__init__(connect, **how, **({"redirected": redirected} if redirected else {}))
        self._make = partial(Node, connect, **how)
        self._beside: Node | None = None

    @property
    def beside(self) -> Link:
        self._beside = self._beside or self._make()
        return self._beside

    @property
    def idle(self) -> bool:
        """True when no command is queued or awaits its reply on either connection."""
        return super().idle and (self._beside is None or self._beside.idle)

    def find_again(self) -> None:
        """Leave the present server on both connections."""
        super().find_again()
        if self._beside is not None:
            self._beside.find_again()

    async def aclose(self) -> None:
        await super().aclose()
        if self._beside is not None:
            await self._beside.aclose()
