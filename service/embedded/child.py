"""The server process: its options, its log, and its end together with this process."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from service.embedded.prerequisites import EmbeddedError

END_SECONDS = 10.0
LOG_BYTES = 1 << 20
LAST_LINES = 4

# Without an RDB preamble Redis and Valkey can read each other's AOF, which they often refuse with one. Removing
# expired keys in bulk blocks all replies for a quarter of 1/hz of a second: 2.5 ms here, 25 by default. --save takes
# an empty argument: no snapshots beside the AOF.
OPTIONS = (
    "--port 0 --unixsocketperm 700 --daemonize no --appendonly yes --appendfsync everysec "
    "--aof-use-rdb-preamble no --maxmemory-policy noeviction --lazyfree-lazy-expire yes --hz 100 --save"
)

# prctl(PR_SET_PDEATHSIG, SIGTERM), then exec of the server, unless the parent has died meanwhile. A separate program,
# because Python code between fork and exec can deadlock in a process with threads.
LAUNCHER = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); "
    "os.getppid() == int(sys.argv[1]) and os.execv(sys.argv[2], sys.argv[2:])"
)


class Child:
    """A server process, forked by a thread that lives exactly as long as the server.

    PR_SET_PDEATHSIG watches the *thread* that forked, and the caller's own thread may end at any time. `ended` is set
    when the server has ended. Raises EmbeddedError if no process can be made.
    """

    def __init__(self, program: str, socket_path: str, *, folder: Path, lock: int) -> None:
        self.ended = threading.Event()
        self._log = folder / "redis.log"
        self._log_start = 0
        self._say: Callable[[str], None] | None = None
        forked: SimpleQueue[subprocess.Popen[bytes] | OSError] = SimpleQueue()
        command = [program, *OPTIONS.split(), "", "--unixsocket", socket_path]
        keeper = threading.Thread(target=self._keep, args=(command, lock, forked), name="embedded-redis", daemon=True)
        keeper.start()
        process = forked.get()
        if isinstance(process, OSError):
            raise EmbeddedError(f"{program} cannot be started in {folder}: {process.strerror}")
        self._process = process

    def report(self, say: Callable[[str], None]) -> None:
        """From now on call `say` if the server ends without a call of end()."""
        self._say = say

    def end(self) -> None:
        """Send SIGTERM, on which the server flushes its AOF; SIGKILL if that takes too long."""
        self._say = None
        # Not SIGKILL at once, because changes of the last second may not be on disk yet.
        self._process.terminate()
        if not self.ended.wait(END_SECONDS):
            self._process.kill()
            self.ended.wait()

    def last_words(self) -> str:
        """The last lines that the server wrote, as one, and where its log is."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
        said = " | ".join([line for line in lines if line][-LAST_LINES:])
        return f"{said or 'it wrote nothing'} (see {self._log})"

    def _keep(self, command: list[str], lock: int, forked: SimpleQueue[subprocess.Popen[bytes] | OSError]) -> None:
        try:
            process = self._spawn(command, lock)
        except OSError as error:
            forked.put(error)
            return
        forked.put(process)
        status = process.wait()
        self.ended.set()
        if self._say is not None:
            self._say(f"Redis has ended with status {status}, and the service with it: {self.last_words()}")

    def _spawn(self, command: list[str], lock: int) -> subprocess.Popen[bytes]:
        if sys.platform == "linux":  # pragma: no branch - elsewhere nothing ends a child with its parent
            command = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), *command]
        with self._log.open("ab") as log:
            os.fchmod(log.fileno(), 0o600)
            # Only at the start, because the server itself writes to this file until it ends.
            if log.tell() > LOG_BYTES:
                log.truncate(0)
            self._log_start = os.fstat(log.fileno()).st_size
            return subprocess.Popen(  # noqa: S603 - a program that find_server has checked
                command,
                cwd=self._log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                # The server must not see the secrets in the settings.
                env={name: value for name, value in os.environ.items() if not name.startswith("TOKENS_")},
                # Ctrl-C in a terminal must reach only the service, which drains before it ends the server.
                start_new_session=True,
                umask=0o077,
            )
