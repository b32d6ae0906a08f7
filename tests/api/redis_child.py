"""A Redis of one test's own, to be killed, frozen and filled; what it shares with those of a group."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from service.embedded.prerequisites import find_server
from tests.api.running import wait_until


class ServerProcess:
    """A server with a folder and a client of its own, which may be killed, frozen and thawed."""

    folder: Path
    client: Redis

    def launch(self, command: Sequence[str]) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ready(self) -> None:
        """Wait until it answers."""
        wait_until(self._answers, what="Redis to answer")

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return bool(self.client.ping())
        except RedisError:
            return False

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(30)

    def freeze(self) -> None:
        """Stop it in its tracks; its connections stay open and silent."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.client.close()
        self.kill()


class RedisChild(ServerProcess):
    """A server behind a unix socket. What it was told stays: `restart` finds its append-only file again."""

    def __init__(self, *options: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tk"))
        self.socket_path = str(self.folder / "redis.sock")
        self.url = f"unix://{self.socket_path}"
        self.client = Redis(unix_socket_path=self.socket_path, socket_timeout=60)
        self._command = [
            find_server().path,
            "--port",
            "0",
            "--unixsocket",
            self.socket_path,
            "--dir",
            str(self.folder),
            "--appendonly",
            "yes",
            # With everysec a write stays in memory while the disk is busy with the second before: `kill` would lose it.
            "--appendfsync",
            "no",
            "--save",
            "",
            "--aof-use-rdb-preamble",
            "no",
            "--maxmemory-policy",
            "noeviction",
            *options,
        ]
        try:
            self.start()
        except BaseException:
            # Nobody else has it yet.
            self.close()
            raise

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.launch(self._command)
        self.ready()

    def append_only_file(self) -> bytes:
        """Every byte that it has written down: in one file, or, since Redis 7, in several of a folder."""
        files = sorted(filter(Path.is_file, self.folder.rglob("appendonly.aof*")))
        return b"".join(path.read_bytes() for path in files)

    def close(self) -> None:
        """End it and remove its files."""
        super().close()
        shutil.rmtree(self.folder)
