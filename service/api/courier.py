"""Carries webhooks out: one signed POST over a connection to an address that was looked at, and no further.

No redirect is followed, nothing of the answer but its status is read, and five seconds are all it may take.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime

from service import __version__
from service.errors import InvalidRequest
from service.tokens.deliveries import Sent
from service.tokens.destination import Destination, is_public, read_url
from service.tokens.webhooks import Resolve

_SECONDS = 5.0
_ADDRESSES = 3
_HEAD_BYTES = 16 * 1024
_GONE = 410
_INTERIM = range(100, 200)
_TAKEN = range(200, 300)


class Courier:
    """Sends messages as Standard Webhooks has them. `tls` makes the context of the first secure connection."""

    def __init__(
        self, resolve: Resolve, *, allow_private: bool,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:  # fmt: skip
        self.resolve = resolve
        self._allow_private = allow_private
        self._tls = tls
        self._context: ssl.SSLContext | None = None

    async def send(self, url: str, secret: str, message_id: str, body: str, now: float) -> Sent:
        """Send one message. What goes wrong on the way is told, not raised."""
        try:
            destination = read_url(url, allow_private=self._allow_private)
            request = _request(destination, _signed(secret, message_id, body, now), body.encode())
            async with asyncio.timeout(_SECONDS):
                status = await self._post(destination, request)
        except TimeoutError:
            return Sent(False, False, 0, "no answer within 5 s")
        except InvalidRequest as refused:
            return Sent(False, False, 0, refused.detail)
        except ssl.SSLCertVerificationError as error:
            return Sent(False, False, 0, f"certificate: {error.verify_message}")
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            return Sent(False, False, 0, f"connection: {type(error).__name__}")
        if status in _TAKEN:
            return Sent(True, True, status, "")
        return Sent(False, status == _GONE, status, f"answered {status}")

    async def _post(self, destination: Destination, request: bytes) -> int:
        addresses = await self.resolve(destination.host, destination.port)
        allowed = [address for address in addresses if self._allow_private or is_public(address)]
        if not allowed:
            raise InvalidRequest("the name leads to no public address")
        reader, writer = await self._connect(destination, allowed[:_ADDRESSES])
        try:
            writer.write(request)
            await writer.drain()
            return await _status(reader)
        finally:
            writer.transport.abort()

    async def _connect(
        self, destination: Destination, addresses: list[str]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the first address that answers: to an address, for a name may mean another one by now."""
        context = await self._secured() if destination.secure else None
        host = destination.host if context else None
        while True:
            address, *addresses = addresses
            try:
                return await asyncio.open_connection(
                    address, destination.port, ssl=context, server_hostname=host, limit=_HEAD_BYTES
                )
            except OSError as error:
                if isinstance(error, ssl.SSLError) or not addresses:
                    raise

    async def _secured(self) -> ssl.SSLContext:
        if self._context is None:
            # It reads the system's certificates, tens of milliseconds that no request need wait for.
            self._context = await asyncio.to_thread(self._tls)
        return self._context


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host name, by the system. Raises OSError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    except UnicodeError:
        raise OSError("not a host name") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _signed(secret: str, message_id: str, body: str, now: float) -> dict[str, str]:
    # Loaded with the first message: most services send none.
    from standardwebhooks import Webhook  # noqa: PLC0415

    signature = Webhook(secret).sign(message_id, datetime.fromtimestamp(int(now), UTC), body)
    return {"webhook-id": message_id, "webhook-timestamp": str(int(now)), "webhook-signature": signature}


def _request(destination: Destination, signed: dict[str, str], body: bytes) -> bytes:
    headers = {
        "Host": destination.authority, "Content-Type": "application/json", "Content-Length": str(len(body)),
        "User-Agent": f"token-service/{__version__}", "Connection": "close", **signed,
    }  # fmt: skip
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {destination.target} HTTP/1.1\r\n{lines}\r\n".encode("ascii") + body


async def _status(reader: asyncio.StreamReader) -> int:
    """The status of the final answer. Raises ValueError for what is no answer."""
    while True:
        line = await reader.readuntil(b"\n")
        version, _, rest = line.decode("latin-1").partition(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError("not HTTP")
        status = int(rest[:3])
        if status not in _INTERIM:
            return status
        while (await reader.readuntil(b"\n")).strip():
            pass
