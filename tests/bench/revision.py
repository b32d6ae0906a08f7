"""Another revision of this repository, checked out beside it for as long as it is measured."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import installs
from tests.bench.servers import ROOT, BenchError


@contextmanager
def checked_out(name: str) -> Iterator[Path]:
    """The folder of a revision. It runs with the packages that are installed here. Raises BenchError."""
    commit = _git("rev-parse", "--verify", "--quiet", name + "^{commit}").strip()
    folder = installs.cache() / f"revision-{commit[:12]}"
    _git("worktree", "add", "--force", "--detach", str(folder), commit)
    try:
        yield folder
    finally:
        _git("worktree", "remove", "--force", str(folder))


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"git {' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout
