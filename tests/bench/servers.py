"""Child processes: Redis, the service as a user starts it, the references. Each ends with its block."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from argon2 import PasswordHasher
from redis import Redis

from service.embedded.prerequisites import find_server
from tests.bench import machine
from tests.ports import held_port

ROOT = Path(__file__).resolve().parents[2]
REFERENCES = Path(__file__).parent / "references"
PASSWORD = "bench-password"
START_SECONDS = 30
SLOTS = 16384
LIMITS = """\
domain: bench
descriptors:
  - key: token
    rate_limit: {unit: second, requests_per_unit: 1000000}
"""


class BenchError(Exception):
    """The benchmark cannot go on; the message is for the person who ran it."""


@dataclass(frozen=True)
class Server:
    """A running HTTP server: where it answers, and the process whose CPU time counts."""

    name: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def wait_until(ready: Callable[[], bool], seconds: float) -> bool:
    """Ask every 20 ms until it is so; False when the time is over."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ready():
            return True
        pause.wait(0.02)
    return False


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    *,
    port: int,
    cores: list[int],
    log: Path,
    env: dict[str, str] | None = None,
    root: Path = ROOT,
) -> Iterator[Server]:
    """Start the command on the given cores and wait until its port accepts; end it and its children after."""
    # Without its bytecode a module is compiled anew at each start.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TOKENS_", "PYTHONDONT"))}
    with log.open("wb") as output:
        child = subprocess.Popen(
            machine.pinned(command, cores),
            cwd=root,
            env=environment | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: child.poll() is not None or _accepts(port), START_SECONDS)
        if child.poll() is not None or not _accepts(port):
            last_lines = log.read_text(errors="replace").splitlines()[-15:]
            raise BenchError(f"{name} did not start:\n  " + "\n  ".join(last_lines))
        yield Server(name, port, child.pid)
    finally:
        _end(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.wait(15)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


@contextmanager
def redis(folder: Path, *more: str) -> Iterator[Server]:
    """A private Redis over TCP with the durability that the service recommends, beside the load generator."""
    port = held_port()
    program = find_server(os.environ.get("TOKENS_REDIS_BIN", "")).path
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    command += ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"]
    command += ["--hz", "100", *more]
    with running("Redis", command, port=port, cores=machine.LOAD_CORES, log=folder / "redis.log") as server:
        yield server


@contextmanager
def cluster(folder: Path, count: int) -> Iterator[str]:
    """The URL of a cluster of so many primaries, all slots of which are given out evenly."""
    with ExitStack() as stack:
        nodes, clients = [], []
        for number in range(count):
            home = folder / f"{number + 1}of{count}"
            home.mkdir()
            told = ("--cluster-enabled", "yes", "--cluster-port", str(held_port()))
            nodes.append(stack.enter_context(redis(home, *told)))
            clients.append(stack.enter_context(Redis(port=nodes[-1].port, decode_responses=True)))
        bounds = [number * SLOTS // count for number in range(count + 1)]
        for number, client in enumerate(clients):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            bus = client.config_get("cluster-port")["cluster-port"]
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[number].port, bus)
        if not wait_until(lambda: all(_holds_all(client) for client in clients), START_SECONDS):
            raise BenchError("the nodes did not become a cluster")
        yield "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


def _holds_all(client: Redis) -> bool:
    facts = client.cluster("INFO")
    return bool((facts["cluster_state"], facts["cluster_slots_assigned"]) == ("ok", str(SLOTS)))


def settings(folder: Path, redis_port: int, *, workers: int = 1, trusted: str = "127.0.0.1") -> dict[str, str]:
    """The environment of a service as behind a gateway, in a namespace of its own; metrics are on by default."""
    accounts = folder / "accounts.toml"
    digest = PasswordHasher().hash(PASSWORD)
    accounts.write_text(f'[accounts.admin]\npassword_hash = "{digest}"\nrole = "admin"\n')
    accounts.chmod(0o600)
    return {
        "TOKENS_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "TOKENS_SECRET_KEY": secrets.token_hex(32),
        "TOKENS_ACCOUNTS_FILE": str(accounts),
        "TOKENS_PORT": str(held_port()),
        "TOKENS_WORKERS": str(workers),
        "TOKENS_ACCESS_LOG": "off",
        "TOKENS_NAMESPACE": f"bench{secrets.token_hex(4)}",
        "TOKENS_TRUSTED_PROXIES": trusted,
        "TOKENS_ONE_TIME_ISSUE_PER_MINUTE": "1000000",
    }


@contextmanager
def service(folder: Path, env: dict[str, str], root: Path = ROOT, *, watched: Path | None = None) -> Iterator[Server]:
    """`python -m service serve` with these settings, as a user starts it; `root` holds another build of it.

    `watched` is the file for what held its event loop, see `watched.py`.
    """
    workers = int(env["TOKENS_WORKERS"])
    name = "service" if workers == 1 else f"service, {workers} workers"
    port, cores = int(env["TOKENS_PORT"]), machine.cores_for(workers)
    module = ["tests.bench.watched", str(watched)] if watched else ["service"]
    command, log = [sys.executable, "-m", *module, "serve"], folder / f"service{port}.log"
    with running(name, command, port=port, cores=cores, log=log, env=env, root=root) as server:
        yield server


@contextmanager
def asgi_reference(name: str, python: str, folder: Path, redis_port: int) -> Iterator[Server]:
    """references/<name>.py under uvicorn, with the settings that make it fastest."""
    port = held_port()
    command = [python, "-m", "uvicorn", "--app-dir", str(REFERENCES), f"{name}:app", "--port", str(port)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    env = {"BENCH_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0"}
    log = folder / f"{name}.log"
    with running(name, command, port=port, cores=machine.SERVER_CORES, log=log, env=env) as server:
        yield server


@contextmanager
def node_reference(name: str, modules: Path, folder: Path, redis_port: int) -> Iterator[Server]:
    """references/<name>.js with the packages installed in `modules`."""
    port = held_port()
    env = {
        "BENCH_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "BENCH_MODULES": str(modules),
        "BENCH_PORT": str(port),
        "NODE_ENV": "production",
    }
    command = ["node", str(REFERENCES / f"{name}.js")]
    log = folder / f"{name}.log"
    with running(name, command, port=port, cores=machine.SERVER_CORES, log=log, env=env) as server:
        yield server


@contextmanager
def ratelimit(program: Path, folder: Path, redis_port: int) -> Iterator[Server]:
    """envoyproxy/ratelimit with a limit that is never reached, and without statistics, which makes it faster."""
    port, home = held_port(), folder / "ratelimit"
    (home / "config").mkdir(parents=True)
    (home / "config" / "bench.yaml").write_text(LIMITS)
    env = {
        "REDIS_SOCKET_TYPE": "tcp",
        "REDIS_URL": f"127.0.0.1:{redis_port}",
        "RUNTIME_ROOT": str(home),
        "RUNTIME_WATCH_ROOT": "false",
        "DISABLE_STATS": "true",
        "PORT": str(port),
    } | {name: str(held_port()) for name in ("GRPC_PORT", "DEBUG_PORT")}
    env |= dict.fromkeys(("HOST", "GRPC_HOST", "DEBUG_HOST"), "127.0.0.1")
    log = folder / "ratelimit.log"
    with running("ratelimit", [str(program)], port=port, cores=machine.SERVER_CORES, log=log, env=env) as server:
        yield server
