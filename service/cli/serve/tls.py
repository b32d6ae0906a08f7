"""TLS of its own: a certificate and key from files that are read again on SIGHUP, and an end to slow handshakes."""

import asyncio
import logging
import ssl
from typing import Any

import uvloop

from service.cli.failure import Failure
from service.settings import Settings

# As long as a body may take; a loop's own time is a minute, in which a silent client costs a descriptor.
HANDSHAKE_SECONDS = 10.0
# A loop's own half minute, from the word that a connection closes, would cut a last answer off amid a slow client's
# reading. `Deadlines` ends those of whom nothing more comes, and much sooner.
CLOSE_SECONDS = 3600.0
log = logging.getLogger(__name__)


class Loop(uvloop.Loop):
    """The event loop of a process that speaks TLS: uvicorn has no setting of its own for handshakes and closes."""

    async def create_server(  # type: ignore[override]
        self, *arguments: Any, **named: Any
    ) -> asyncio.AbstractServer:
        """A server whose handshakes, if it has any, end in time, and whose answers all have time."""
        # Without TLS the loop refuses the arguments.
        if named.get("ssl"):
            named |= {"ssl_handshake_timeout": HANDSHAKE_SECONDS, "ssl_shutdown_timeout": CLOSE_SECONDS}
        return await super().create_server(*arguments, **named)


class Certificate:
    """What connections are made with; handed to each worker process before it has read the files."""

    def __init__(self, settings: Settings) -> None:
        self._certificate = settings.tls_cert_file
        self._key = settings.tls_key_file or settings.tls_cert_file
        self._context: ssl.SSLContext | None = None

    def context(self, *_: object) -> ssl.SSLContext:
        """The context, made once for each process; uvicorn says how it would make one. Raises Failure."""
        if self._context is None:
            self._context = self.read()
        return self._context

    async def read_again(self) -> None:
        """New connections get what the files hold now; files that cannot be used change nothing."""
        try:
            # First for nobody: a certificate without its key would be taken over before that is noticed.
            self.read()
            self.context().load_cert_chain(self._certificate, self._key)
        except Failure as failure:
            log.error("%s; the certificate read before stays in use", failure.message)
            return
        log.info("the certificate was read again from %s", self._certificate)

    def read(self) -> ssl.SSLContext:
        """A context by what the files hold now. Raises Failure for files that cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # An encrypted key would have OpenSSL ask on the terminal.
            context.load_cert_chain(self._certificate, self._key, password=lambda: b"")
        except ssl.SSLError as error:
            reason = (error.reason or "no PEM").lower().replace("_", " ")
            raise Failure(
                f"TOKENS_TLS_CERT_FILE: {self._certificate} with the key of {self._key}: {reason}; "
                "give PEM files of a certificate, with those above it, and of its key, not encrypted"
            ) from None
        except OSError as error:
            # One file may hold both.
            files = " or ".join(dict.fromkeys((self._certificate, self._key)))
            raise Failure(f"TOKENS_TLS_CERT_FILE: cannot read {files}: {error.strerror}") from None
        return context
