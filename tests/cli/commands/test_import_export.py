"""All tokens out, and tokens in."""

import json
import os
import signal
import socket
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest

from service.cli import main
from service.cli.commands.tokens import import_export
from service.cli.commands.tokens.import_file import LINE_BYTES, MOST_BYTES, Part, lines_of, parts, rows_of
from service.cli.terminal import output
from tests.api.running import COMMAND, DEADLINE, wait_until
from tests.cli.conftest import Run
from tests.cli.running import own_environment
from tests.cli.stub import Stub

EXPORT, IMPORT = "/api/admin/tokens/export", "/api/admin/tokens/import"
LINES = b'{"id":"00a1"}\n{"id":"00a2"}\n'


def skip(line: int, code: str = "exists", name: str = "api") -> dict[str, object]:
    return {"line": line, "name": name, "code": code, "message": "This token is here already."}


@pytest.mark.parametrize("file", [(), ("-",)])
def test_an_export_goes_to_standard_output_as_it_comes(stub: Stub, run: Run, file: tuple[str, ...]) -> None:
    stub.on("GET", EXPORT, LINES * 50_000)
    result = run("export", *file)
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, LINES * 50_000, "")


@pytest.mark.parametrize("command", [["export"], ["audit", "--format", "ndjson"]])
def test_what_does_not_fit_is_told_also_where_it_waits_in_a_buffer(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    stub.on("GET", EXPORT, LINES)
    stub.on("GET", "/api/admin/audit", LINES)
    monkeypatch.setattr(sys, "argv", ["token-service", *command])
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            main()
    assert (ended.value.code, capsys.readouterr().err) == (
        1,
        "token-service: no space is left where this writes to\n",
    )


def test_an_export_to_a_file_is_nobody_else_s(stub: Stub, run: Run, tmp_path: Path) -> None:
    stub.on("GET", EXPORT, LINES)
    file = tmp_path / "tokens.ndjson"
    result = run("export", str(file))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"Tokens in {file}: 2.\n")
    assert file.read_bytes() == LINES
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_export_never_overwrites_unless_told_to(stub: Stub, run: Run, tmp_path: Path) -> None:
    stub.on("GET", EXPORT, LINES)
    file = tmp_path / "tokens.ndjson"
    file.write_text("mine")
    file.chmod(0o644)
    result = run("export", str(file))
    assert result.exit_code == 1
    assert "add --force" in result.stderr
    assert file.read_text() == "mine"
    assert not stub.asked
    assert json.loads(run("export", str(file), "--force", "--json").stdout) == {"file": str(file), "tokens": 2}
    assert file.read_bytes() == LINES
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_name_that_leads_nowhere_is_taken_too(stub: Stub, run: Run, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    assert run("export", str(link)).exit_code == 1
    assert not stub.asked


def test_what_is_no_file_is_not_replaced_by_force(stub: Stub, run: Run, tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    result = run("export", str(pipe), "--force")
    assert (result.exit_code, result.stderr) == (1, f"token-service: cannot write {pipe}: it is no file\n")
    assert not stub.asked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "before", "ended"),
    [(number, signal.SIG_DFL, (-number, [])) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    # As `nohup` has it.
    + [(signal.SIGHUP, signal.SIG_IGN, (0, ["tokens"]))],
)
def test_a_signal_that_ends_an_export_leaves_no_draft(
    tmp_path: Path, number: signal.Signals, before: signal.Handlers, ended: tuple[int, list[str]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        told = {"TOKENS_URL": f"http://127.0.0.1:{service.getsockname()[1]}", "TOKENS_TOKEN": "the-caller"}
        command = [*COMMAND, "export", str(tmp_path / "tokens")]
        # A process begins with what its parent passes over.
        own = signal.signal(number, before)
        process = subprocess.Popen(command, env=own_environment(tmp_path, **told), stderr=subprocess.DEVNULL)
        signal.signal(number, own)
        service.settimeout(DEADLINE)
        with service.accept()[0] as connection:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n"
            connection.sendall(head % len(LINES))
            wait_until(lambda: list(tmp_path.glob(".tokens.*")), what="the draft")
            process.send_signal(number)
            if before == signal.SIG_IGN:
                connection.sendall(LINES)
            process.wait(DEADLINE)
    assert (process.returncode, [path.name for path in tmp_path.iterdir()]) == ended


@pytest.mark.parametrize("force", [True, False])
def test_an_export_that_breaks_off_leaves_no_file(stub: Stub, run: Run, tmp_path: Path, force: bool) -> None:
    stub.on("GET", EXPORT, status=0)
    assert run("export", str(tmp_path / "tokens"), *(["--force"] if force else [])).exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_refused_export_leaves_the_file_that_was_there(stub: Stub, run: Run, tmp_path: Path) -> None:
    stub.problem("GET", EXPORT, 403, "Only an administrator may do this, not a token.")
    file = tmp_path / "tokens"
    file.write_text("mine")
    result = run("export", str(file), "--force")
    assert (result.exit_code, result.stderr) == (1, "token-service: Only an administrator may do this, not a token.\n")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("tokens", "mine")]


def test_an_export_into_no_directory_is_one_line(stub: Stub, run: Run, tmp_path: Path) -> None:
    stub.on("GET", EXPORT, LINES)
    result = run("export", str(tmp_path / "none" / "tokens"))
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "No such file or directory" in result.stderr


def test_a_file_made_meanwhile_is_kept(stub: Stub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.on("GET", EXPORT, LINES)
    file = tmp_path / "tokens"
    file.write_text("another's")
    monkeypatch.setattr(import_export.os.path, "lexists", lambda _: False)
    result = run("export", str(file))
    assert (result.exit_code, "by another process" in result.stderr) == (1, True)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("tokens", "another's")]


def test_a_file_is_cut_at_a_thousand_lines() -> None:
    found = list(parts(lines_of(BytesIO(b"{}\n" * 2500))))
    assert [len(part.numbers) for part in found] == [1000, 1000, 500]
    assert [part.numbers[0] for part in found] == [1, 1001, 2001]
    assert b"".join(part.body for part in found) == b"{}\n" * 2500


def test_a_file_is_cut_at_a_mebibyte() -> None:
    whole = (b"x" * 29_999 + b"\n") * 70
    found = list(parts(lines_of(BytesIO(whole))))
    assert [part.numbers for part in found] == [[*range(1, 35)], [*range(35, 69)], [69, 70]]
    assert all(len(part.body) <= MOST_BYTES for part in found)
    assert b"".join(part.body for part in found) == whole


def test_blank_lines_are_counted_but_not_sent_and_the_last_needs_no_end() -> None:
    assert list(parts(lines_of(BytesIO(b"\n{}\r\n  \n\n[]")))) == [Part([2, 5], b"{}\r\n[]\n")]
    assert list(parts(lines_of(BytesIO(b"")))) == []


@pytest.mark.parametrize("size", [LINE_BYTES, LINE_BYTES + 1, 3 * LINE_BYTES])
def test_a_line_too_long_is_left_out_wherever_it_is(size: int) -> None:
    assert list(parts(lines_of(BytesIO(b"{}\n" + b"x" * size + b"\n[]\n")))) == [
        Part([1], b"{}\n"),
        Part([2], b""),
        Part([3], b"[]\n"),
    ]
    assert list(parts(lines_of(BytesIO(b"x" * size)))) == [Part([1], b"")]


def test_the_longest_line_that_fits_is_sent() -> None:
    line = b"x" * (LINE_BYTES - 1)
    assert list(parts(lines_of(BytesIO(line + b"\n")))) == [Part([1], line + b"\n")]
    assert list(parts(lines_of(BytesIO(line)))) == [Part([1], line + b"\n")]


def test_the_longest_row_that_fits_is_sent() -> None:
    # Each is `"c": "...", ` as JSON, braces and the end stand for
    # the last comma and one byte more.
    row = b",".join([b"x" * (LINE_BYTES // 16 - 9)] * 15) + b"," + b"x" * (LINE_BYTES // 16 - 10)
    heading = b",".join([b"%c" % (97 + place) for place in range(16)])
    assert [len(part.body) for part in parts(rows_of(BytesIO(heading + b"\n" + row)))] == [LINE_BYTES]
    assert list(parts(rows_of(BytesIO(heading + b"\n" + row + b"x")))) == [Part([2], b"")]


def test_an_import_sends_the_lines_as_they_are(stub: Stub, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_bytes(LINES)
    stub.on("POST", IMPORT, {"imported": 2, "byDigest": 0, "shortened": 0, "skipped": []})
    result = run("import", str(file))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "2 imported.\n")
    (asked,) = stub.asked
    assert (asked.body, asked.query) == (LINES, {})
    assert asked.headers["Content-Type"] == "application/x-ndjson"


def test_a_dry_run_says_so_to_the_service_and_to_people(stub: Stub, run: Run) -> None:
    stub.on("POST", IMPORT, {"imported": 1, "byDigest": 0, "shortened": 0, "skipped": [skip(2)]})
    result = run("import", "-", "--dry-run", stdin=LINES.decode())
    assert stub.asked[0].query == {"dryRun": "true"}
    assert result.stderr == "1 would be imported.\ntoken-service: 1 would be skipped\n"
    assert result.exit_code == 1


def test_skipped_lines_are_named_by_their_number_in_the_file(stub: Stub, run: Run) -> None:
    stub.on("POST", IMPORT, {"imported": 999, "byDigest": 0, "shortened": 0, "skipped": [skip(1)]})
    stub.on("POST", IMPORT, {"imported": 1, "byDigest": 0, "shortened": 0, "skipped": [skip(3, "invalid_request", "")]})
    result = run("import", "-", stdin="\n" + "{}\n" * 1001 + "\n" + "{}\n" * 2)
    assert result.exit_code == 1
    assert result.stdout == (
        "2\texists\tapi\tThis token is here already.\n1005\tinvalid_request\t-\tThis token is here already.\n"
    )
    assert result.stderr == "1,000 imported.\ntoken-service: 2 skipped\n"


def test_a_line_too_long_is_reported_and_the_rest_sent(stub: Stub, run: Run) -> None:
    stub.on("POST", IMPORT, {"imported": 1, "byDigest": 0, "shortened": 0, "skipped": []})
    result = run("import", "-", "--json", stdin="{}\n" + "x" * LINE_BYTES + "\n{}\n")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["imported"], report["dryRun"]) == (1, 2, False)
    assert [(one["line"], one["code"]) for one in report["skipped"]] == [(2, "payload_too_large")]
    assert [asked.body for asked in stub.asked] == [b"{}\n", b"{}\n"]


def test_an_import_waits_for_a_service_that_says_when_to_ask_again(stub: Stub, run: Run, pauses: list[float]) -> None:
    stub.problem("POST", IMPORT, 503, "The token store is not answering.", headers={"Retry-After": "1"})
    stub.problem("POST", IMPORT, 503, "Redis is loading its data.", headers={"Retry-After": "7"})
    stub.on("POST", IMPORT, {"imported": 1, "byDigest": 0, "shortened": 0, "skipped": [skip(2)]})
    result = run("import", "-", stdin="{}\n" * 2)
    assert (result.exit_code, pauses, len(stub.asked)) == (1, [1, 7], 3)
    assert {asked.body for asked in stub.asked} == {b"{}\n" * 2}
    assert result.stderr == (
        "1 imported.\n"
        "2 lines were sent again, some of which the first time may have brought in.\n"
        "token-service: 1 skipped\n"
    )


def test_an_import_waits_no_longer_than_two_minutes(stub: Stub, run: Run, pauses: list[float]) -> None:
    stub.problem("POST", IMPORT, 503, "The token store is not answering.", headers={"Retry-After": "50"})
    assert run("import", "-", stdin="{}\n").exit_code == 1
    assert pauses == [50, 50]
    stub.problem("POST", IMPORT, 503, "Some proxy's.", headers={"Retry-After": "Mon, 30 Nov 2026 00:00:00 GMT"})
    stub.problem("POST", IMPORT, 503, "Some proxy's.", headers={"Retry-After": "Mon, 30 Nov 2026 00:00:00 GMT"})
    assert run("import", "-", stdin="{}\n").exit_code == 1
    assert pauses == [50, 50, 50]


def test_an_import_that_breaks_off_says_how_far_it_came(stub: Stub, run: Run, pauses: list[float]) -> None:
    stub.on("POST", IMPORT, {"imported": 1000, "byDigest": 1, "shortened": 0, "skipped": []})
    stub.problem("POST", IMPORT, 503, "The token store is not answering.", headers={"Retry-After": "1"})
    result = run("import", "-", stdin="{}\n" * 1001)
    assert result.exit_code == 1
    assert result.stderr == (
        "Up to line 1,000: 1,000 imported, 0 skipped. Run it again after this:\n"
        "token-service: The token store is not answering. (again in 1 s)\n"
    )


def test_an_import_refused_at_once_is_one_line(stub: Stub, run: Run) -> None:
    stub.problem("POST", IMPORT, 403, "Not you.")
    assert run("import", "-", stdin="{}\n").stderr == "token-service: Not you.\n"


def test_no_file_is_a_usage_error(stub: Stub, run: Run, tmp_path: Path) -> None:
    assert run("import", str(tmp_path / "none")).exit_code == 2
    assert not stub.asked


def test_progress_is_shown_where_somebody_watches(stub: Stub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.on("POST", IMPORT, {"imported": 2, "byDigest": 0, "shortened": 0, "skipped": []})
    monkeypatch.setattr(output, "watched", lambda: True)
    said = run("import", "-", stdin=LINES.decode()).stderr
    # What erases a line is left out where there is no terminal after all.
    assert said == "\rline 2: 2 imported, 0 skipped\r2 imported.\n"


def test_columns_become_lines(stub: Stub, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "tokens.csv"
    heading = "name,sha512,scopes,isActive,expiresAt,createdAt,subject\n"
    row = '"a ""b"", c",ab,a:b c:d,f,,1750000000,\nd,cd,,perhaps,2027-01-31,,u,over\n'
    file.write_bytes(("\ufeff" + heading + row).encode())
    stub.on("POST", IMPORT, {"imported": 2, "byDigest": 0, "shortened": 0, "skipped": []})
    assert run("import", str(file), "--number-names", "--zone", "UTC").exit_code == 0
    (asked,) = stub.asked
    assert asked.query == {"numberNames": "true", "zone": "UTC"}
    first, second = (json.loads(line) for line in asked.body.splitlines())
    kept = {"name": 'a "b", c', "sha512": "ab", "scopes": ["a:b", "c:d"], "isActive": False}
    assert first == {**kept, "expiresAt": None, "createdAt": 1750000000}
    rest = {"expiresAt": "2027-01-31", "subject": "u", "more columns than the heading has": ["over"]}
    assert second == {"name": "d", "sha512": "cd", "isActive": "perhaps", **rest}


def test_columns_that_are_no_utf_8_are_named(stub: Stub, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_bytes("name,secret\n".encode("utf-16"))
    result = run("import", str(file), "--csv")
    assert (result.exit_code, "iconv" in result.stderr, stub.asked) == (1, True, [])


def test_what_is_no_csv_is_named_by_its_line(stub: Stub, run: Run) -> None:
    stub.on("POST", IMPORT, {"imported": 1, "byDigest": 0, "shortened": 0, "skipped": []})
    result = run("import", "-", "--csv", stdin=f"name,secret\na,{'s' * 20}\nb,{'s' * 200_000}\n")
    assert (result.exit_code, "line 3 is no CSV" in result.stderr, stub.asked) == (1, True, [])
    result = run("import", "-", "--csv", stdin='name,secret\na,"b\nc,d\n')
    assert (result.exit_code, "is no CSV: unexpected end of data" in result.stderr, stub.asked) == (1, True, [])


def test_two_columns_of_one_name_are_refused_and_unnamed_ones_are_not(stub: Stub, run: Run) -> None:
    stub.on("POST", IMPORT, {"imported": 1, "byDigest": 0, "shortened": 0, "skipped": []})
    result = run("import", "-", "--csv", stdin="name,secret,secret\na,b,c\n")
    assert (result.stderr, stub.asked) == ("token-service: two columns are called secret: which one is meant?\n", [])
    assert run("import", "-", "--csv", stdin="name,secret,,\na,b,,\n").exit_code == 0
    assert json.loads(stub.asked[0].body) == {"name": "a", "secret": "b"}


@pytest.mark.parametrize("number", ["--5", "9" * 5000, "-", "\u0665"])
def test_what_is_no_number_is_left_for_the_service_to_refuse(number: str) -> None:
    ((_, line),) = rows_of(BytesIO(f"name,expiresAt\na,{number}\n".encode()))
    assert json.loads(line or b"") == {"name": "a", "expiresAt": number}


def test_whoever_stops_an_import_is_told_how_to_go_on(stub: Stub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.on("POST", IMPORT, {"imported": 999, "byDigest": 0, "shortened": 0, "skipped": [skip(1)]})
    ask = import_export.Client.ask

    def interrupted(self: import_export.Client, method: str, path: str, *, body: bytes, **_: object) -> object:
        if body == b"{}\n":
            raise KeyboardInterrupt
        return ask(self, method, path, body=body)

    monkeypatch.setattr(import_export.Client, "ask", interrupted)
    result = run("import", "-", stdin="{}\n" * 1001)
    assert result.exit_code != 0
    assert result.stderr == (
        "\nUp to line 1,000: 999 imported, 1 skipped, of the next lines perhaps some. "
        "Run it again: what is in is skipped.\nAborted!\n"
    )
