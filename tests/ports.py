"""Ports for programs that must be told one before they start."""

import atexit
import socket


def held_port() -> int:
    """A port that nobody else gets while this process lives, at whichever of this machine's addresses.

    It is bound here and does not listen, so the system gives it to nobody who asks for any port, nor to a connection
    that leaves; a server that sets SO_REUSEADDR, as all do, may listen on it all the same.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # At all of them: at one alone it may be that of a connection that left from another, and then whoever listens at
    # all, as Apache does, is refused.
    holder.bind(("", 0))
    # Held until then, and closed so that Python does not warn of it.
    atexit.register(holder.close)
    port: int = holder.getsockname()[1]
    return port
