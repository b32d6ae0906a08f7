"""TLS: a certificate and key from files that are read again on SIGHUP, and a time limit for handshakes."""

import asyncio
import logging
import ssl
from typing import Any

import uvloop

from service.cli.failure import Failure
from service.settings import Settings

# As long as a body may take. The loop's own limit is a minute, in which a silent client costs a file descriptor.
HANDSHAKE_SECONDS = 10.0
# The loop's own limit for a close, half a minute, would cut off the last answer to a slow reader. `Deadlines` ends
# clients that stop reading, and much sooner.
CLOSE_SECONDS = 3600.0
log = logging.getLogger(__name__)


class Loop(uvloop.Loop):
    """The event loop for TLS: uvicorn has no settings of its own for the time of handshakes and closes."""

    async def create_server(  # type: ignore[override]
        self, *arguments: Any, **named: Any
    ) -> asyncio.AbstractServer:
        """A server with a time limit for TLS handshakes, and enough time for answers."""
        # Without TLS the loop refuses these arguments.
        if named.get("ssl"):
            named |= {"ssl_handshake_timeout": HANDSHAKE_SECONDS, "ssl_shutdown_timeout": CLOSE_SECONDS}
        return await super().create_server(*arguments, **named)


class Certificate:
    """The certificate of new connections; passed to each worker process before it has read the files."""

    def __init__(self, settings: Settings) -> None:
        self._certificate = settings.tls_cert_file
        self._key = settings.tls_key_file or settings.tls_cert_file
        self._context: ssl.SSLContext | None = None

    def context(self, *_: object) -> ssl.SSLContext:
        """The context, made once per process; uvicorn passes its own way to make one. Raises Failure."""
        if self._context is None:
            self._context = self.read()
        return self._context

    async def read_again(self) -> None:
        """Use the files' present content for new connections; unusable files change nothing."""
        try:
            # Into an unused context first: a certificate without its key would be active before the error is noticed.
            self.read()
            self.context().load_cert_chain(self._certificate, self._key)
        except Failure as failure:
            log.error("%s; the certificate read before stays in use", failure.message)
            return
        log.info("the certificate was read again from %s", self._certificate)

    def read(self) -> ssl.SSLContext:
        """A context from the files' present content. Raises Failure if they are unusable."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # Without a password function OpenSSL would ask for an encrypted key's password on the terminal.
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
