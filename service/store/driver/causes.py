"""Why Redis gives no answer, in one line for operators. Holds nothing of a URL's password."""

import socket
import ssl
from collections.abc import Iterator

from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

_CAUSES = {
    AuthenticationError: "it refuses the user name or the password",
    ssl.SSLError: "the handshake by TLS failed: does it speak TLS there?",
    ConnectionRefusedError: "nothing listens at its address",
    socket.gaierror: "its host name is not known",
    FileNotFoundError: "there is no socket at its path",
    PermissionError: "it does not let this user connect to its socket",
    TimeoutError: "it does not answer in time, or does not speak TLS there",
}


def cause_of(error: BaseException) -> str:
    """What kept a connection from being made."""
    for one in _with_its_causes(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {one.verify_message}"
        if isinstance(one, NoPermissionError):
            return not_permitted(str(one))
        if isinstance(one, ResponseError) and any(words in str(one) for words in ("DB index", "SELECT is not allowed")):
            return "it has no database of this number"
        for kind, text in _CAUSES.items():
            if isinstance(one, kind):
                return text
    if str(error).startswith("Connection closed"):
        return "it closed the connection: does it want TLS (rediss://)?"
    return type(error).__name__


def not_permitted(text: str) -> str:
    """What is said of a command that Redis' access list forbids; `text` as Redis has it."""
    return f"its access list forbids what the service needs: {text.removeprefix('NOPERM ').rstrip('.')}"


def _with_its_causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised for: redis-py wraps most in an error of its own."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__
