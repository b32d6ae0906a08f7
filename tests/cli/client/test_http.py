"""How the answers of a service, and none, reach whoever ran a command."""

import socket
from collections.abc import Iterator
from threading import Thread

import pytest
from click.testing import Result

from service import __version__
from service.cli.commands import readiness
from tests.cli.conftest import Run
from tests.cli.stub import COUNTS, Reply, Stub, serving

STATS = "/api/admin/tokens/stats"


def line(result: Result) -> str:
    """The one line on standard error."""
    assert result.stderr.startswith("token-service: "), result.stderr
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("token-service: ").rstrip()


def test_a_request_carries_the_token_and_says_who_asks(stub: Stub, run: Run) -> None:
    stub.on("GET", STATS, COUNTS)
    assert run("stats").exit_code == 0
    (asked,) = stub.asked
    assert asked.headers["Authorization"] == "Bearer the-caller"
    assert asked.headers["User-Agent"] == f"token-service/{__version__}"


def test_a_base_url_may_have_a_path(stub: Stub, run: Run) -> None:
    stub.on("GET", f"/tokens{STATS}", COUNTS)
    assert run("stats", env={"TOKENS_URL": f"{stub.url}/tokens/"}).exit_code == 0
    stub.on("GET", f"/caf%C3%A9%20%2F{STATS}", COUNTS)
    assert run("stats", env={"TOKENS_URL": f"{stub.url}/caf\xe9 %2F"}).exit_code == 0


@pytest.mark.parametrize(
    "url", ["http://ada:hunter2@h", "http://:hunter2@h", "http://ada:hun/hunter2@h", "//a:hunter2@h"]
)
def test_a_password_in_the_base_url_is_refused_and_not_printed(run: Run, url: str) -> None:
    result = run("stats", env={"TOKENS_URL": url})
    assert (result.exit_code, result.output.startswith("token-service: TOKENS_URL")) == (2, True)
    assert "hunter2" not in result.output


def test_a_problem_is_told_by_its_detail(stub: Stub, run: Run) -> None:
    stub.problem("GET", STATS, 403, "Your account may not administer tokens.", code="forbidden")
    result = run("stats")
    assert (result.exit_code, line(result)) == (1, "Your account may not administer tokens.")


def test_what_a_terminal_would_obey_in_a_detail_is_shown(stub: Stub, run: Run) -> None:
    stub.problem("GET", STATS, 400, "no \x1b[2J \u202eapi")
    assert line(run("stats")) == "no \\x1b[2J \\u202eapi"


def test_several_wrong_fields_are_all_told(stub: Stub, run: Run) -> None:
    errors = [{"field": "name", "message": "too long"}, {"field": "limits[0].limit", "message": "too small"}]
    stub.problem("POST", "/api/admin/tokens", 400, "name: too long.", errors=errors)
    assert line(run("create", "x")) == "name: too long; limits[0].limit: too small"


def test_when_to_try_again_is_told(stub: Stub, run: Run) -> None:
    stub.problem("GET", STATS, 503, "The token store is not answering.", headers={"Retry-After": "1"})
    assert line(run("stats")) == "The token store is not answering. (again in 1 s)"


def test_a_fault_of_the_service_is_told_with_its_request_id(stub: Stub, run: Run) -> None:
    stub.problem("GET", STATS, 500, "That did not work.")
    assert line(run("stats")) == "That did not work. Request id: r-1"


def test_a_refused_token_wants_a_sign_in(stub: Stub, run: Run) -> None:
    stub.problem("GET", STATS, 401, "The token is not valid.")
    result = run("stats")
    assert result.exit_code == 4
    assert "does not accept TOKENS_TOKEN" in line(result)


def test_without_a_credential_nothing_is_asked(stub: Stub, run: Run) -> None:
    result = run("stats", env={"TOKENS_TOKEN": ""})
    assert result.exit_code == 4
    assert "token-service login" in line(result)
    assert not stub.asked


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, b"<h1>Bad Gateway</h1>"),
        (404, b""),
        (302, b"[1]"),
        (200, b"[" * 100_000),
        (400, b"[" * 100_000),
        (400, b'{"detail": 5}'),
        (400, b'{"detail": "no", "errors": [1, null]}'),
        (400, b'{"detail": "no", "errors": "all"}'),
    ],
    ids=lambda given: str(given)[:24],
)
def test_an_answer_of_something_else_is_told_as_one(stub: Stub, run: Run, status: int, body: bytes) -> None:
    headers = {"Content-Type": "application/problem+json"} if status == 400 else {}
    stub.on("GET", STATS, body, status=status, headers=headers)
    result = run("stats")
    assert result.exit_code == 1
    assert f"answered {status}" in line(result)
    assert "check TOKENS_URL" in line(result)


PAGE = b"<html>Sign in to the network</html>"
COMMANDS = [
    "list",
    "show x",
    "stats",
    "stats --hygiene",
    "create x",
    "update 00a1b2c3d4e5f607 --name x",
    "revoke 00a1b2c3d4e5f607 --yes",
    "deactivate --all --dry-run",
    "rotate 00a1b2c3d4e5f607",
    "verify",
    "explain x",
    "whoami",
    "login ada",
    "healthcheck",
    "audit",
    "audit verify",
    "audit --format csv",
    "export",
    "import -",
    "usage --service",
    "usage 00a1b2c3d4e5f607",
    "sessions list",
    "subjects list",
    "webhooks list",
    "webhooks test x",
    "webhooks add https://x --event token.created",
    "webhooks rotate x",
    "webhooks activate x",
    "webhooks remove x --yes",
    "webhooks deliveries x",
    "subjects limit x --rate 1/s",
    "subjects unlimit x --yes",
    "sessions revoke x --yes",
    "activate 00a1b2c3d4e5f607",
    "rotate 00a1b2c3d4e5f607 --end --yes",
    "self show",
    "self rotate",
    "self revoke --yes",
    "derive",
    "end-derived x --yes",
    "confirm-reset --yes",
]


# What stands at the address instead gives each path one of these and 200.
OTHERS = {
    "page": Reply(200, PAGE, {"Content-Type": "text/html"}),
    "empty object": Reply(200, b"{}", {"Content-Type": "application/json"}),
    "probe": Reply(200, b'{"status":"UP","checks":[]}', {"Content-Type": "application/json"}),
    "list": Reply(200, b"[]", {"Content-Type": "application/json"}),
}


@pytest.fixture(scope="module", params=OTHERS)
def another(request: pytest.FixtureRequest) -> Iterator[Stub]:
    with serving() as stub:
        stub.reply = lambda _: OTHERS[request.param]  # type: ignore[method-assign]
        yield stub


@pytest.mark.parametrize("command", COMMANDS)
def test_a_200_of_another_service_is_no_success(another: Stub, run: Run, command: str) -> None:
    lines = '{"name":"a","secret":"bbbbbbbbbbbbbbbbbbbbbbbb","duration":"never"}\n'
    result = run(*command.split(), stdin=lines, env={"TOKENS_URL": another.url, "TOKENS_TOKEN": "t"})
    assert (result.exit_code, result.stdout) == (1, "")
    assert "200" in line(result)


def test_another_service_has_not_what_a_command_wants(stub: Stub, run: Run) -> None:
    stub.on("GET", "/api/admin/tokens", {"status": "ok"})
    result = run("list")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no answer of a token service: check TOKENS_URL" in line(result)


@pytest.mark.parametrize(("command", "status"), [("verify", 401), ("verify", 429), ("stats", 401), ("login ada", 401)])
def test_a_refusal_by_a_proxy_says_nothing_of_a_token(stub: Stub, run: Run, command: str, status: int) -> None:
    for method, path in (("GET", STATS), ("GET", "/validate"), ("POST", "/api/token")):
        stub.on(method, path, PAGE, status=status, headers={"Content-Type": "text/html"})
    result = run(*command.split(), stdin="secret")
    assert (result.exit_code, f"answered {status}" in line(result)) == (1, True)


def test_what_is_no_http_is_one_line_that_no_terminal_obeys(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def greet() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(b"SSH-2.0-\x1b[2J\r\n")

        thread = Thread(target=greet)
        thread.start()
        result = run("stats", env={"TOKENS_URL": url, "TOKENS_TOKEN": "t"})
        thread.join()
    assert (result.exit_code, line(result)) == (1, f"what answers at {url} speaks no HTTP: check TOKENS_URL")


@pytest.mark.parametrize("token", ["one\ntwo", "“quoted”", "caf\xe9"])
def test_what_no_header_can_carry_is_no_token_and_not_repeated(stub: Stub, run: Run, token: str) -> None:
    result = run("stats", env={"TOKENS_TOKEN": token})
    assert (result.exit_code, stub.asked) == (2, [])
    assert token not in line(result)


def test_nobody_there_is_one_line(run: Run) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        result = run("stats", env={"TOKENS_URL": url, "TOKENS_TOKEN": "t"})
    assert result.exit_code == 1
    assert line(result).startswith(f"cannot reach {url}: Connection refused.")


def test_somebody_who_hangs_up_is_one_line(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.settimeout(60)

        def hang_up() -> None:
            listener.accept()[0].close()

        thread = Thread(target=hang_up)
        thread.start()
        result = run("stats", env={"TOKENS_URL": url, "TOKENS_TOKEN": "t"})
        thread.join()
    assert result.exit_code == 1
    assert line(result).startswith(f"{url} closed the connection without an answer: ")


def test_silence_ends(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PROBE_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        result = run("healthcheck", env={"TOKENS_URL": url, "TOKENS_TOKEN": "t"})
    assert result.exit_code == 1
    assert line(result).startswith(f"no answer from {url}")


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8080",
        "ftp://x",
        "http://",
        "http://a:b@c",
        "http://x:port",
        "http://x?y",
        "http://[::1",
        "http://x..y",
    ],
)
def test_no_url_is_a_usage_error(run: Run, url: str) -> None:
    result = run("stats", env={"TOKENS_URL": url, "TOKENS_TOKEN": "t"})
    assert result.exit_code == 2
    assert "TOKENS_URL" in line(result)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("PORT", "abc"), ("PORT", "70000"), ("PORT", "0"), ("PORT", "\u0668"), ("PORT", "-1"), ("HOST", "a..b")],
)
def test_a_setting_without_an_address_is_told_by_its_own_name(run: Run, setting: str, value: str) -> None:
    for command in ("stats", "verify", "healthcheck", "login ada", "logout"):
        result = run(*command.split(), stdin="x", env={"TOKENS_TOKEN": "t", f"TOKENS_{setting}": value})
        assert result.exit_code == 2
        assert line(result).startswith(f"TOKENS_{setting}={value}: "), command


def test_the_local_service_is_found_by_its_own_settings(stub: Stub, run: Run) -> None:
    stub.on("GET", STATS, COUNTS)
    port = stub.url.rpartition(":")[2]
    anywhere = {"TOKENS_URL": None, "TOKENS_HOST": "0.0.0.0", "TOKENS_PORT": port}  # noqa: S104
    assert run("stats", env=anywhere).exit_code == 0
    assert run("stats", env={**anywhere, "TOKENS_HOST": "unix:/run/x.sock, 0.0.0.0"}).exit_code == 0
    assert run("stats", env={**anywhere, "TOKENS_HOST": "[::ffff:127.0.0.1]"}).exit_code == 0
    result = run("stats", env={**anywhere, "TOKENS_HOST": "unix:/run/x.sock"})
    assert (result.exit_code, "set TOKENS_URL" in line(result)) == (2, True)


WHOLE = b"an entry\r\n"


@pytest.mark.parametrize(
    ("framing", "body", "printed", "says"),
    [
        (b"Content-Length: 100\r\n", WHOLE + b"half", WHOLE, "broke off its answer"),
        # Its end is that of the connection, as of an old proxy's.
        (b"", WHOLE + b"half", WHOLE, "broke off its answer"),
        (b"Transfer-Encoding: chunked\r\n", b"a\r\n" + WHOLE + b"\r\n9\r\nhalf", b"", "broke off its answer"),
        # No length, which the library takes for none that is told.
        (b"Content-Length: -1\r\n", WHOLE, b"", "speaks no HTTP"),
        (b"Content-Length: x\r\n", WHOLE, b"", "speaks no HTTP"),
        (b"Content-Length:\r\n", WHOLE, b"", "speaks no HTTP"),
        (b"Content-Length: 1_0\r\n", WHOLE, b"", "speaks no HTTP"),
        (b"Content-Length: 10\r\nContent-Length: 12\r\n", WHOLE, b"", "speaks no HTTP"),
    ],
)
def test_a_stream_that_breaks_off_is_no_success_and_prints_whole_lines(
    run: Run, framing: bytes, body: bytes, printed: bytes, says: str
) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n" + framing + b"\r\n" + body
    result = answered_by(run, whole, "audit", "--format", "ndjson")
    assert (result.exit_code, result.stdout_bytes, says in line(result)) == (1, printed, True)


@pytest.mark.parametrize("cut", [17, 18, 41, 42, 43, 68, 70, 71])
@pytest.mark.parametrize("arguments", [("audit", "--format", "ndjson"), ("verify",)])
def test_a_head_that_breaks_off_is_no_answer(run: Run, arguments: tuple[str, ...], cut: int) -> None:
    """Of a stream it told of no length yet and so of no line, of a validation half of a scope."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nX-Token-Scopes: orders:read\r\n\r\n"
    assert len(head) == 72
    result = answered_by(run, head[:cut], *arguments)
    assert (result.exit_code, result.stdout, "broke off its answer" in line(result)) == (1, "", True)


def answered_by(run: Run, answer: bytes, *arguments: str) -> Result:
    """A command whose service answers this, and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def break_off() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = Thread(target=break_off)
        thread.start()
        result = run(*arguments, env={"TOKENS_URL": url, "TOKENS_TOKEN": "t"})
        thread.join()
    return result


def test_no_tls_where_some_is_wanted_is_one_line(stub: Stub, run: Run) -> None:
    result = run("stats", env={"TOKENS_URL": stub.url.replace("http", "https")})
    assert result.exit_code == 1
    assert line(result).startswith("cannot reach https://")
    assert not stub.asked
