"""What the command line says of itself, and how little it takes to say it."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import ModuleType

import click
import pytest

from service import __version__
from service.__main__ import main as start
from service.cli import COMMANDS, main, program
from tests.cli.conftest import Run
from tests.cli.stub import Stub, token
from tests.contract.sources import ROOT

HEAVY = ("uvicorn", "redis", "argon2", "starlette", "prometheus_client", "msgspec", "asyncio", "tomlkit")


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command under this one, with the words that call it."""
    if not isinstance(command, click.Group):
        return [(path, command)]
    context = click.Context(command)
    found = []
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None, name
        found += leaves(inner, (*path, name))
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_in_the_help_is_the_command_s_own(name: str) -> None:
    command = program.get_command(click.Context(program), name)
    assert command is not None
    assert (command.help or "").split("\n\n")[0].replace("\n", " ") == COMMANDS[name][1]


def test_every_command_explains_itself_and_all_its_options(run: Run) -> None:
    for path, command in leaves(program):
        assert run(*path, "--help").exit_code == 0, path
        for option in command.params:
            assert isinstance(option, click.Argument) or getattr(option, "help", ""), (path, option.name)


def test_no_line_of_a_list_of_commands_is_cut(run: Run) -> None:
    groups = {path[:-1] for path, _ in leaves(program)}
    assert {("subjects",), ("audit",)} < groups
    for group in groups:
        assert "..." not in run(*group, "--help").stdout.replace("[ARGS]...", ""), group


def test_every_command_with_a_result_knows_json() -> None:
    silent = {"serve"}
    without = {
        " ".join(path)
        for path, command in leaves(program)
        if "as_json" not in [option.name for option in command.params]
    }
    assert without == silent


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], HEAVY),
        (["--version"], HEAVY),
        (["healthcheck"], HEAVY),
        # They ask, but choose no password.
        (["revoke", "x", "--yes"], ("argon2", "redis", "starlette")),
        (["login", "--help"], ("argon2", "redis", "starlette")),
        # What the parent of the workers has: they speak to Redis, each by itself.
        (["serve", "--help"], ("redis", "starlette", "service.app", "service.embedded")),
    ],
)
def test_what_must_be_quick_imports_nothing_heavy(arguments: list[str], heavy: tuple[str, ...]) -> None:
    code = (
        "import gc, sys\nfrom service.__main__ import main\n"
        "before = sum(passes['collections'] for passes in gc.get_stats()[1:])\n"
        "try:\n    main()\nexcept SystemExit:\n"
        "    passes = sum(passes['collections'] for passes in gc.get_stats()[1:]) - before\n"
        "    print(passes, 'loaded', *sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={"TOKENS_URL": "http://127.0.0.1:1"},
        check=True,
    )
    said, _, modules = done.stdout.rpartition("loaded ")
    loaded = modules.split()
    assert "click" in loaded
    assert [name for name in heavy if name in loaded] == []
    # Of the collector no pass through more than what is new: all that was imported stays.
    assert said.split()[-1] == "0"


def test_a_service_begins_without_what_few_processes_are_asked_for() -> None:
    code = (
        "import sys, service.app, service.cli.serve.command\nfrom service.cli.serve.sockets import listen\n"
        "from service.settings import read\nlisten(*read({'TOKENS_HOST': '127.0.0.1'}).hosts, 0).close()\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    late = {
        "encodings.idna",
        "service.api.http.openapi",
        "service.cli.serve.first_start",
        "service.dashboard.minifier",
        "service.embedded",
        "starlette.routing",
        "service.tokens.accounts.jwt",
        "prometheus_client.multiprocess",
    }
    assert late & set(done.stdout.split()) == set()


def test_an_unknown_command_is_a_usage_error(run: Run) -> None:
    result = run("creat")
    assert (result.exit_code, "No such command 'creat'" in result.stderr) == (2, True)


def test_the_version_is_said_in_both_ways(run: Run) -> None:
    assert run("version").stdout == run("--version").stdout == f"token-service {__version__}\n"


def test_an_answer_for_which_there_is_no_space_is_no_defect() -> None:
    with open("/dev/full", "wb") as full:
        # As in a plain shell, where what is printed waits in a buffer.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        command = [sys.executable, "-m", "service", "--version"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment)

    assert (done.returncode, done.stderr) == (1, b"token-service: no space is left where this writes to\n")


@pytest.mark.parametrize(
    ("command", "why"), [("--version >%s", "File too large"), ("import /proc/self/mem", "Input/output error")]
)
def test_what_can_be_read_or_written_no_further_is_no_defect(tmp_path: Path, command: str, why: str) -> None:
    # A file of no block at all, as on a disk whose quota is used up.
    script = f'ulimit -f 0; exec "$0" -m service {command.replace("%s", str(tmp_path / "document"))}'
    environment = {**os.environ, "TOKENS_TOKEN": "t", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(["sh", "-c", script, sys.executable], stderr=subprocess.PIPE, env=environment)
    assert (done.returncode, done.stderr.decode()) == (1, f"token-service: cannot read or write: {why}\n")


def test_what_was_done_is_no_failure_where_nobody_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["token-service", "logout"])
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        with pytest.raises(SystemExit) as ended:
            main()
        # As the interpreter does at its end: what fails then makes the exit status 120.
        full.flush()
    assert ended.value.code == 0


@pytest.mark.parametrize("command", [["show", "\udcff"], ["create", "\udcff"], ["webhooks", "test", "\udcff"]])
def test_what_is_not_utf_8_is_a_usage_error(
    command: list[str], stub: Stub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["token-service", *command])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, stub.asked) == (2, [])
    assert capsys.readouterr().err == "token-service: an argument or standard input is not UTF-8\n"


def test_a_secret_is_printed_also_where_the_letters_of_its_name_are_unknown(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.on("POST", "/api/admin/tokens", {"token": token("日本", token="rtk_secret")}, status=201)
    monkeypatch.setattr(sys, "argv", ["token-service", "create", "日本"])
    printed = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(printed, "latin-1"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert b"name\t\\u65e5\\u672c\nsecret\trtk_secret\n" in printed.getvalue()


def test_ctrl_c_is_one_line_while_the_command_is_still_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Importing(ModuleType):
        def __getattr__(self, name: str) -> None:
            raise KeyboardInterrupt

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    entry = EntryPoint("token-service", project["scripts"]["token-service"], "console_scripts").load()
    monkeypatch.setitem(sys.modules, "service.cli", Importing("service.cli"))
    # Those of the whole process.
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    ended_by: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", ended_by.append)
    # As for the first process of a container, which the signal does not end.
    with pytest.raises(SystemExit) as ended:
        entry()
    assert (ended.value.code, ended_by, capsys.readouterr().err) == (130, [signal.SIGINT], "Aborted!\n")


def test_what_is_printed_goes_out_before_a_signal_ends_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = BytesIO()

    def interrupted() -> None:
        sys.stdout.write("the rest of a line\n")
        raise KeyboardInterrupt

    monkeypatch.setattr("service.cli.main", interrupted)
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(printed))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    seen: list[bytes] = []
    monkeypatch.setattr(signal, "raise_signal", lambda _: seen.append(printed.getvalue()))
    with pytest.raises(SystemExit):
        start()
    assert seen == [b"the rest of a line\n"]


def test_config_masks_secrets_and_names_every_setting(run: Run) -> None:
    secret = "a-secret-of-at-least-32-characters!"
    environment = {"TOKENS_REDIS_URL": "redis://u:hunter22@127.0.0.1", "TOKENS_SECRET_KEY": secret}
    result = run("config", env=environment)
    assert "TOKENS_REDIS_URL\tredis://u:***@127.0.0.1" in result.stdout
    assert "TOKENS_SECRET_KEY\t***" in result.stdout
    assert "TOKENS_DOCS\ton" in result.stdout
    assert secret not in result.output
    assert "hunter22" not in result.output


def test_a_bad_setting_is_one_line(run: Run) -> None:
    for command in ("config", "serve", "accounts list"):
        result = run(*command.split(), env={"TOKENS_PORTT": "1"})
        assert (result.exit_code, result.stderr) == (
            1,
            "token-service: TOKENS_PORTT is not a setting: did you mean TOKENS_PORT?\n",
        )


def test_openapi_is_the_document_of_this_version(run: Run) -> None:
    document = json.loads(run("openapi").stdout)
    assert document["openapi"].startswith("3.1")
    assert document["info"]["version"] == __version__


def test_the_version_as_json_names_python_too(run: Run) -> None:
    assert set(json.loads(run("version", "--json").stdout)) == {"version", "python", "platform"}


def test_config_as_json_is_what_is_in_force(run: Run) -> None:
    effective = json.loads(run("config", "--json", env={"TOKENS_PORT": "9"}).stdout)
    assert (effective["TOKENS_PORT"], effective["TOKENS_DOCS"]) == (9, True)


@pytest.mark.usefixtures("terminal")
def test_a_terminal_is_told_what_each_setting_means_and_where_it_came_from(run: Run) -> None:
    lines = run("config", env={"TOKENS_PORT": "9", "NO_COLOR": "1"}).stdout.splitlines()
    assert lines[0].split() == ["SETTING", "VALUE", "FROM", "MEANING"]
    port = next(line for line in lines if line.startswith("TOKENS_PORT "))
    assert port.split()[1:3] == ["9", "set"]
    assert port.endswith("port to listen on; 0 takes a free one")


@pytest.mark.parametrize(("typed", "meant"), [("lst", "'list'?"), ("revok", "'revoke'?"), ("xyzzy", "")])
def test_a_mistyped_command_is_told_what_was_probably_meant(run: Run, typed: str, meant: str) -> None:
    result = run(typed)
    assert result.exit_code == 2
    assert f"No such command '{typed}'." in result.stderr
    assert ("Did you mean " + meant in result.stderr) is bool(meant)


@pytest.mark.parametrize(("command", "closed", "status"), [("config", ">&-", 0), ("verify", "<&-", 2)])
def test_a_standard_stream_that_is_closed_is_empty(command: str, closed: str, status: int) -> None:
    arguments = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "service", command]
    done = subprocess.run(arguments, capture_output=True, env={"HOME": "/"}, timeout=300, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (status, False), done.stderr
