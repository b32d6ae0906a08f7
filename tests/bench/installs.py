"""What the references need beyond the project's packages: installed once under .bench/, which git ignores."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".bench"
FASTAPI = (
    "fastapi==0.165.0",
    "uvicorn==0.54.0",
    "uvloop==0.23.0",
    "httptools==0.9.0",
    "redis==8.1.0",
    "hiredis==3.5.0",
)
FASTIFY = ("fastify@5.12.8", "ioredis@6.0.0", "rate-limiter-flexible@11.4.0")
RATELIMIT = ("github.com/envoyproxy/ratelimit/src/service_cmd@v1.4.1-0.20260122083618-3fb702589d36",)
INSTALL_SECONDS = 480


def cache() -> Path:
    """.bench/, which ignores itself for git."""
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    return CACHE


def fastapi() -> tuple[str | None, str]:
    """The interpreter of a virtual environment with FastAPI, and the reason where there is none."""
    folder = cache() / "fastapi"
    python = folder / "bin" / "python"
    commands = [
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *FASTAPI],
    ]
    reason = _install(folder, FASTAPI, commands)
    return (None, reason) if reason else (str(python), "")


def fastify() -> tuple[Path | None, str]:
    """A folder with Fastify and its packages, and the reason where there is none."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return None, "node and npm are not installed"
    folder = cache() / "fastify"
    command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent", *FASTIFY]
    reason = _install(folder, FASTIFY, [command])
    return (None, reason) if reason else (folder, "")


def ratelimit() -> tuple[Path | None, str]:
    """The program of envoyproxy/ratelimit, compiled here, and the reason where there is none."""
    go = shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
    if go is None:
        return None, "go is not installed"
    folder = cache() / "ratelimit"
    command = ["env", f"GOBIN={folder}", go, "install", *RATELIMIT]
    reason = _install(folder, RATELIMIT, [command])
    return (None, reason) if reason else (folder / "service_cmd", "")


def _install(folder: Path, wanted: tuple[str, ...], commands: list[list[str]]) -> str:
    """Run the commands unless the folder holds exactly what is wanted; the reason where one failed."""
    installed = folder / "installed.txt"
    text = "\n".join((*wanted, sys.version))
    if installed.exists() and installed.read_text() == text:
        return ""
    folder.mkdir(exist_ok=True)
    print(f"installing {' '.join(wanted)} into {folder}", file=sys.stderr)
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{command[0]}: {error}"
        if done.returncode:
            return f"{' '.join(command[:4])} failed: {done.stderr.strip()[-300:]}"
    installed.write_text(text)
    return ""
