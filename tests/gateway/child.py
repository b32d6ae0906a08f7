"""A gateway, or whatever stands in its place, as a child process with its configuration in a folder of its own."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.api.running import wait_until

NGINX_ARGUMENTS = (
    "-p",
    "{folder}",
    "-c",
    "{folder}/nginx.conf",
    "-g",
    "daemon off; pid {folder}/pid; error_log stderr;",
)


def nginx_head() -> tuple[str, str]:
    """What nginx needs to run here, as anybody and in a folder of its own: before the events, and within http."""
    paths = "".join(
        f"{name}_temp_path {{folder}}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"user {pwd.getpwuid(os.getuid()).pw_name};", f"access_log off; {paths}"


class Gateway:
    """One child, listening."""

    def __init__(self, program: str, port: int, texts: Mapping[str, str], *arguments: str, **environment: str) -> None:
        """`texts` by the names of their files; `{folder}` in them and in the arguments stands for the folder."""
        self.folder = Path(tempfile.mkdtemp(prefix="tk"))
        self.folder.chmod(0o755)
        self.port = port
        for name, text in texts.items():
            (self.folder / name).write_text(text.replace("{folder}", str(self.folder)))
        found = shutil.which(program, path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
        assert found, f"{program} is not installed: make test installs it"
        self._log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            [found, *(argument.replace("{folder}", str(self.folder)) for argument in arguments)],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder), **environment},
        )
        wait_until(self._listens, what=f"{program} to listen")

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.log
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._log.close()
        shutil.rmtree(self.folder)
