"""Why Redis does not answer, in one line for operators. Never repeats a URL's password."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, InvalidResponse, NoPermissionError, RedisError, ResponseError

from service.addresses import bracketed
from service.errors import StoreUnavailable

log = logging.getLogger(__name__)
# A server may accept a connection, answer the first commands, and then be silent again, twice a second.
_WELL_AFTER_SECONDS = 1.0
# What redis-py raises if no connection can be made; the last two if the peer is no Redis.
NO_CONNECTION = (RedisError, OSError, TypeError, AttributeError)
_CLOSED = (
    "it closed the connection: does it want TLS (rediss://), or a certificate of the client's (ssl_certfile), or has "
    "it as many clients as it may (maxclients)?"
)
_NO_REDIS = "what answers at its address is no Redis, but a web server or the like: check host and port"
# By how redis-py's own texts begin. "Invalid Database" is its error for a reply that it can parse but does not expect,
# such as a mail server's greeting, `+OK`.
_TOLD = {
    "Connection closed": _CLOSED,
    "Invalid Database": _NO_REDIS,
    "max number of clients": "it has as many clients as it may: raise its maxclients, or end those that nobody needs",
}
# By the code that a server's error begins with; a cluster's error says more after it.
_REFUSALS = {
    "CLUSTERDOWN": "bring the lost node back; `cluster-require-full-coverage no` keeps the others answering",
    "MISCONF": "it cannot write to its disk (MISCONF): make room, or mend what its log names",
    "NOREPLICAS": "it takes no writes while fewer replicas are well than its min-replicas-to-write: bring one back",
    "TRYAGAIN": "a hash slot moves from node to node key by key (TRYAGAIN): what needs several of its keys has to wait",
}


_CAUSES = {
    InvalidResponse: _NO_REDIS,
    ConnectionResetError: _CLOSED,
    BrokenPipeError: _CLOSED,
    AuthenticationError: "it refuses the user name or the password",
    ssl.SSLError: "the handshake by TLS failed: does it speak TLS there?",
    ConnectionRefusedError: "nothing listens at its address",
    socket.gaierror: "its host name is not known",
    FileNotFoundError: "there is no socket at its path",
    PermissionError: "it does not let this user connect to its socket",
    TimeoutError: "it does not answer in time, or does not speak TLS there",
}


def cause_of(error: BaseException) -> str:
    """What prevented a connection, and where, if a note of the error says that."""
    return placed(_cause(error), *getattr(error, "__notes__", ()))


def placed(text: str, *places: str) -> str:
    """The text with the places that are known: an operator has to know which of several nodes to repair."""
    return "".join([text, *[f" ({place})" for place in places if place]])


def place_of(connection: AbstractConnection) -> str:
    """The host and port of a connection; empty for a unix socket, because there is only one."""
    host = getattr(connection, "host", "")
    return f"{bracketed(host)}:{getattr(connection, 'port', '')}" if host else ""


def _cause(error: BaseException) -> str:
    for one in _with_its_causes(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {one.verify_message.rstrip('.')}"
        if isinstance(one, ssl.SSLError) and "alert" in (told := tls_reason(one)):
            return f"it ended the handshake by TLS ({told}): it may want a certificate of the client's (ssl_certfile)"
        if isinstance(one, NoPermissionError):
            return not_permitted(str(one))
        if isinstance(one, ResponseError) and (reason := reason_of(str(one))):
            return reason
        if isinstance(one, ResponseError) and any(words in str(one) for words in ("DB index", "SELECT is not allowed")):
            return "it has no database of this number"
        for kind, text in _CAUSES.items():
            if isinstance(one, kind):
                return text
        if isinstance(one, OSError) and one.strerror:
            return f"the system says: {one.strerror.lower()}"
    told = str(error)
    return next((text for beginning, text in _TOLD.items() if told.startswith(beginning)), type(error).__name__)


def tls_reason(error: ssl.SSLError) -> str:
    """OpenSSL's reason as words, or Python's text for errors of its own."""
    told = str(error.args[-1]).removeprefix("[SSL] ").partition(" (_ssl.c")[0]
    return (getattr(error, "reason", None) or told).lower().replace("_", " ")


def not_permitted(text: str) -> str:
    """The cause for a command that Redis' access list forbids; `text` is the error of Redis."""
    return f"its access list forbids what the service needs: {text.removeprefix('NOPERM ').rstrip('.')}"


def reason_of(text: str) -> str:
    """The cause by the text of a server's error; empty for an error that tells operators nothing."""
    if text.startswith("NOPERM") or "ACL failure in script" in text:
        return not_permitted(text)
    for code, reason in _REFUSALS.items():
        # Servers before 7.0 put the place where a script failed before the code.
        if text.startswith(code) or f"-{code} " in text:
            return f"its cluster is down ({text.rstrip('.')}): {reason}" if code == "CLUSTERDOWN" else reason
    return ""


class Outage:
    """Logs that a server is away: each reason once; and once that it answers again, when it has for a second."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._end: asyncio.TimerHandle | None = None

    def tell(self, reason: str, error: Exception | None = None) -> None:
        """Log that it is away. For an `error` that comes from neither server nor network, with its traceback."""
        self.forget_end()
        if reason not in self._told:
            self._told.add(reason)
            # No traceback of a server's error: that may repeat the password it was sent.
            log.warning(reason, exc_info=None if isinstance(error, RedisError | OSError | StoreUnavailable) else error)

    def ends(self, place: str) -> None:
        """A connection was made."""
        self.forget_end()
        if self._told:
            self._end = asyncio.get_running_loop().call_later(_WELL_AFTER_SECONDS, self._over, place)

    def forget_end(self) -> None:
        """Do not log the end: the server is away again, or the connection is no longer used."""
        if self._end is not None:
            self._end.cancel()

    def _over(self, place: str) -> None:
        self._told.clear()
        log.warning(placed("Redis answers again", place))


def _with_its_causes(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes: redis-py wraps most errors in one of its own."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__
