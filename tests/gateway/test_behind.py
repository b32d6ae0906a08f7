"""What stands behind the gateways of these tests says nothing of its own while they are well."""

import socket
import struct
import threading

import pytest

from tests.api.running import wait_until
from tests.gateway.behind import Application


@pytest.mark.slow
def test_a_kept_connection_that_is_reset_is_no_fault_of_the_application(capfd: pytest.CaptureFixture[str]) -> None:
    application, before = Application(), set(threading.enumerate())
    connection = socket.create_connection(("127.0.0.1", application.port), timeout=60)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    # Closing without lingering resets.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    wait_until(lambda: set(threading.enumerate()) <= before, what="the application to see the end of the connection")
    application.close()
    assert capfd.readouterr().err == ""
