"""A secret that is shown once and cannot be printed: whoever asked is told what to do about it."""

import json
import os
import shlex
import subprocess
from errno import EIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from service.cli.failure import Failure
from service.cli.serve.first_start import admin_account
from service.cli.terminal.output import require_printable
from service.settings import Settings
from tests.api.running import COMMAND, DEADLINE
from tests.cli.conftest import Run
from tests.cli.stub import Stub, token

TOKENS, SELF, HOOKS = "/api/admin/tokens", "/api/tokens/self", "/api/admin/webhooks"
ID = "00a1b2c3d4e5f607"
SECRET = "rtk_" + "ab" * 32
TOKEN = f"token-service rotate {ID} gives another one, revoke {ID} ends it"
HOOK = "token-service webhooks rotate wh1 gives another one, webhooks remove wh1 ends it"


@pytest.fixture
def issuing(stub: Stub) -> Stub:
    for path in (TOKENS, f"{TOKENS}/{ID}/rotate", f"{SELF}/derive", f"{SELF}/rotate"):
        stub.on("POST", path, {"message": "done", "token": token(token=SECRET)}, status=201)
    for path in (HOOKS, f"{HOOKS}/wh1/rotate"):
        stub.on("POST", path, {"id": "wh1", "url": "https://x", "events": [], "secret": SECRET}, status=201)
    return stub


@pytest.fixture
def _broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output that takes nothing."""
    echo = click.echo

    def broken(message: object = None, *, err: bool = False, **more: Any) -> None:
        if not err:
            raise OSError(EIO, "Input/output error")
        echo(message, err=err, **more)

    monkeypatch.setattr(click, "echo", broken)


@pytest.mark.usefixtures("_broken", "issuing")
@pytest.mark.parametrize("more", [[], ["--json"]])
@pytest.mark.parametrize(
    ("command", "advice"),
    [
        (["create", "api"], TOKEN),
        (["create", "api", "-q"], TOKEN),
        (["rotate", ID], TOKEN),
        (["self", "rotate"], TOKEN),
        (["derive"], f"token-service end-derived --id {ID} ends it"),
        (["webhooks", "add", "https://x", "--event", "token.created"], HOOK),
        (["webhooks", "rotate", "wh1"], HOOK),
    ],
)
def test_a_secret_that_nobody_has_is_told_with_what_ends_it(
    run: Run, command: list[str], more: list[str], advice: str
) -> None:
    result = run(*command, *more)
    reason = "nobody has the secret, it cannot be printed (Input/output error)"
    told = json.loads(result.stderr)["detail"] if more else result.stderr.removeprefix("token-service: ").rstrip()
    assert (result.exit_code, told) == (1, f"{reason}: {advice}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirection", "reason"), [(">/dev/full", "No space left on device"), (">&-", "standard output is closed")]
)
def test_no_secret_is_made_that_could_not_be_printed(issuing: Stub, redirection: str, reason: str) -> None:
    # As in a plain shell, where what is printed waits in a buffer.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = f"{shlex.join([*COMMAND, 'create', 'api', '-q'])} {redirection}"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, env=environment, timeout=DEADLINE)
    said = f"token-service: nothing was made, because its secret could not be printed: {reason}\n"
    assert (done.returncode, done.stderr, issuing.asked) == (1, said, [])


def test_a_pipe_that_nobody_reads_and_a_disk_without_room_are_seen_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    with open(writing, "w", encoding="ascii") as pipe:
        require_printable(pipe)
        os.close(reading)
        with pytest.raises(Failure, match="nobody reads it"):
            require_printable(pipe)
    with (tmp_path / "secret").open("w") as file:
        require_printable(file)
        monkeypatch.setattr(os, "fstatvfs", lambda _: SimpleNamespace(f_bavail=0))
        with pytest.raises(Failure, match="No space left on device"):
            require_printable(file)


@pytest.mark.usefixtures("_broken")
def test_no_account_stays_whose_password_nobody_has_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output"):
        admin_account(Settings(data_dir=str(tmp_path)), dashboard="http://127.0.0.1:8080/dashboard/")
    assert list(tmp_path.iterdir()) == []
