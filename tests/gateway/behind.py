"""What stands behind a gateway in these tests: an application that echoes, and a counter of connections."""

import json
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar


class Application:
    """Answers every request with what it was sent, and counts them."""

    def __init__(self) -> None:
        self.requests = 0
        application = self

        class Echo(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Else each body waits for the other side to have seen its head: 40 ms.
            disable_nagle_algorithm = True
            error_content_type: ClassVar[str] = "text/plain"

            def handle(self) -> None:
                # HAProxy and others reset a connection that they kept and want no longer.
                with suppress(ConnectionResetError):
                    super().handle()

            def handle_any(self) -> None:
                application.requests += 1
                if self.headers.get("Upgrade", "").lower() == "websocket":
                    self.talk()
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                seen = {
                    "method": self.command,
                    "path": self.path,
                    "body": body.decode(),
                    "headers": [(name.lower(), value) for name, value in self.headers.items()],
                }
                answer = json.dumps(seen).encode()
                self.send_response(500 if self.path.endswith("/broken") else 200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            def talk(self) -> None:
                """Accept a websocket and send back whatever comes: a gateway reads no frames."""
                self.send_response(101)
                self.send_header("Upgrade", "websocket")
                self.send_header("Connection", "Upgrade")
                # RFC 6455's answer to its own example of a key.
                self.send_header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
                self.end_headers()
                self.close_connection = True
                with suppress(OSError):
                    while data := self.connection.recv(65536):
                        self.connection.sendall(data)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = handle_any  # noqa: N815 - the names it looks for

            def log_message(self, *_: Any) -> None:
                """Nothing on the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Counter:
    """Passes connections on to the service, or refuses them, and counts. May lose answers, or say something instead."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.connections = 0
        self.refuses = False
        self.losses = 0
        self.instead: bytes | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuses:
                client.close()
                continue
            self.connections += 1
            service = socket.create_connection(("127.0.0.1", self._target))
            self._open |= {client, service}
            for source, sink, may_lose in ((client, service, False), (service, client, True)):
                threading.Thread(target=self._pass_on, args=(source, sink, may_lose), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, may_lose: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if may_lose and self.instead is not None:
                    data = self.instead
                if may_lose and self.losses:
                    self.losses -= 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            self._open.discard(end)

    def refuse(self, refuses: bool) -> None:
        """Cut what is open and refuse what comes, or stop doing so."""
        self.refuses = refuses
        for end in list(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.refuse(True)
