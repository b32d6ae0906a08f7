"""A receiver of webhooks for the benchmark: takes everything; GET answers how many different messages came.

Run as `python -m tests.bench.receiver PORT`.
"""

import asyncio
import sys
from contextlib import suppress

import uvloop

seen: set[bytes] = set()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in lines[1:] if b": " in line)
            if lines[0].startswith(b"GET"):
                answer = b"%d" % len(seen)
            else:
                await reader.readexactly(int(fields[b"content-length"]))
                seen.add(fields[b"webhook-id"])
                answer = b""
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
    writer.close()


async def main(port: int) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        uvloop.run(main(int(sys.argv[1])))
