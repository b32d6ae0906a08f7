"""Questions on a real terminal."""

import os
import pty
import select
import subprocess
from pathlib import Path

from tests.api.running import COMMAND, DEADLINE
from tests.cli.running import own_environment


def test_a_password_is_asked_twice_and_not_echoed(tmp_path: Path) -> None:
    terminal, own = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "accounts", "add", "ada"],
        env=own_environment(tmp_path),
        stdin=own,
        stdout=own,
        stderr=own,
        start_new_session=True,
    ) as command:
        os.close(own)
        said = b""
        answers = iter([b"correct horse\n", b"correct horse\n"])
        while b"Added ada" not in said:
            assert select.select([terminal], [], [], DEADLINE)[0], said
            said += os.read(terminal, 4096)
            if said.endswith(b": "):
                os.write(terminal, next(answers))
    os.close(terminal)
    assert command.returncode == 0
    assert said.count(b"Password: ") == 1
    assert b"correct horse" not in said
    assert "[accounts.ada]" in (tmp_path / "data" / "accounts.toml").read_text()
