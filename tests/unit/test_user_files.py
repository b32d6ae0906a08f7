"""Files that are nobody else's business."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from service.user_files import make_private, write_private


def test_a_private_file_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert make_private(path, "first")
    assert not make_private(path, "second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_file_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("before")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_private(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    # A device would be replaced as well, such as the /dev/null of the whole machine.
    path = tmp_path / "pipe"
    os.mkfifo(path)
    for place in (path, tmp_path):
        with pytest.raises(OSError, match="it is no file"):
            write_private(place, "text")
    assert path.is_fifo()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("make", [write_private, make_private])
@pytest.mark.parametrize("user", [0, 1000])
def test_root_leaves_a_file_to_who_owns_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, make: Callable[[Path, str], object]
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "fchown", lambda handle, owner, group: given.append((owner, group)))
    path = tmp_path / "file"
    make(path, "text")
    owner = tmp_path.stat()
    assert given == ([] if user else [(owner.st_uid, owner.st_gid)])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
