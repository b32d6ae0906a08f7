"""A secret that is shown once and cannot be printed: whoever asked is told what to do about it."""

from __future__ import annotations

import os
import subprocess
from errno import EIO
from pathlib import Path
from typing import Any

import click
import pytest

from service.cli.serve.first_start import admin_account
from service.settings import Settings
from tests.cli.conftest import Run
from tests.cli.running import COMMAND, DEADLINE
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
    assert (result.exit_code, result.stderr) == (1, f"token-service: {reason}: {advice}\n")


@pytest.mark.slow
@pytest.mark.usefixtures("issuing")
def test_on_a_full_disk_that_is_the_only_line() -> None:
    # As in a plain shell, where what is printed waits in a buffer.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "create", "api", "-q"], stdout=full, stderr=subprocess.PIPE, env=environment, timeout=DEADLINE
        )
    reason = "nobody has the secret, it cannot be printed (No space left on device)"
    assert (done.returncode, done.stderr.decode()) == (1, f"token-service: {reason}: {TOKEN}\n")


@pytest.mark.usefixtures("_broken")
def test_no_account_stays_whose_password_nobody_has_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output"):
        admin_account(Settings(data_dir=str(tmp_path)), dashboard="http://127.0.0.1:8080/dashboard/")
    assert list(tmp_path.iterdir()) == []
