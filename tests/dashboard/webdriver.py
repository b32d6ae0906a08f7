"""Firefox and WebKit as the system has them, driven by WebDriver: Firefox by its own Marionette, over TCP; WebKit by
WebKitWebDriver, over HTTP, on a display of Xvfb."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.ports import held_port

DEADLINE_SECONDS = 120.0
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
PREFERENCES = {"marionette.port": 0, "browser.shell.checkDefaultBrowser": False, "datareporting.policy.firstRunURL": ""}


class Driver:
    """One window. `ask` sends a command: its name, its path and its members; the value that comes back."""

    def __init__(self, ask: Callable[[str, str, dict[str, Any]], Any]) -> None:
        self._ask = ask

    def goto(self, url: str) -> None:
        self._ask("Navigate", "POST url", {"url": url})

    def run(self, function: str, *given: object) -> Any:
        """What a function of JavaScript gives; an element is a reference that `click` takes."""
        script = f"return ({function})(...arguments)"
        return self._ask("ExecuteScript", "POST execute/sync", {"script": script, "args": list(given)})

    def click(self, element: dict[str, str]) -> None:
        self._ask("ElementClick", f"POST element/{element[ELEMENT]}/click", {"id": element[ELEMENT]})

    def type(self, text: str) -> None:
        """Into what has the focus."""
        focused = self._ask("GetActiveElement", "GET element/active", {})[ELEMENT]
        self._ask("ElementSendKeys", f"POST element/{focused}/value", {"id": focused, "text": text})


@contextmanager
def firefox(folder: Path) -> Iterator[Driver]:
    """All that it writes is below the folder."""
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
    lines.append(f'user_pref("browser.download.dir", {json.dumps(str(folder))});\n')
    lines.append('user_pref("browser.download.folderList", 2);\n')
    (folder / "user.js").write_text("".join(lines))
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    assert path, "firefox-esr is not installed"
    command = [path, "--headless", "--marionette", "--no-remote", "--profile", str(folder)]
    with started(command, HOME=str(folder)) as process:
        port = int(until((folder / "MarionetteActivePort").read_text, process))
        with (
            socket.create_connection(("127.0.0.1", port), DEADLINE_SECONDS) as connection,
            connection.makefile("rwb") as stream,
        ):
            _read(stream)
            ask = _marionette(stream)
            ask("NewSession", "", {})
            yield Driver(ask)


def _marionette(stream: Any) -> Callable[[str, str, dict[str, Any]], Any]:
    """Each message is its length, a colon and JSON."""

    def ask(name: str, _path: str, members: dict[str, Any]) -> Any:
        message = json.dumps([0, 1, f"WebDriver:{name}", members]).encode()
        stream.write(b"%d:%s" % (len(message), message))
        stream.flush()
        _, _, error, value = _read(stream)
        assert error is None, f"{name}: {error}"
        return value["value"] if value and set(value) == {"value"} else value

    return ask


def _read(stream: Any) -> Any:
    size = b""
    while not size.endswith(b":"):
        size += stream.read(1)
    return json.loads(stream.read(int(size[:-1])))


@contextmanager
def webkit(folder: Path) -> Iterator[Driver]:
    """All that it writes is below the folder."""
    with started(["Xvfb", "-displayfd", "1", "-screen", "0", "1280x900x24"]) as screen:
        assert screen.stdout is not None
        display = f":{screen.stdout.readline().strip()}"
        places = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "DISPLAY": display, "GDK_BACKEND": "x11"}
        port = held_port()
        with started(["WebKitWebDriver", f"--port={port}"], **places) as driver:
            url = f"http://127.0.0.1:{port}"
            until(lambda: _called(f"{url}/status"), driver)
            session = _called(f"{url}/session", "POST", {"capabilities": {}})["sessionId"]
            yield Driver(_http(f"{url}/session/{session}"))


def _http(session: str) -> Callable[[str, str, dict[str, Any]], Any]:
    def ask(_name: str, place: str, members: dict[str, Any]) -> Any:
        method, _, path = place.partition(" ")
        return _called(f"{session}/{path}", method, members)

    return ask


def _called(url: str, method: str = "GET", members: dict[str, Any] | None = None) -> Any:
    body = json.dumps(members).encode() if method == "POST" else None
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:
        return json.load(answer)["value"]


@contextmanager
def started(command: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process that ends at the end, with those that it started itself."""
    process = subprocess.Popen(
        command,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=DEADLINE_SECONDS)


def until(get: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    """What it gives once it does, of a process that begins."""
    end = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            return get()
        except (OSError, ValueError):
            assert process.poll() is None and time.monotonic() < end, "it did not start"
            time.sleep(0.05)
