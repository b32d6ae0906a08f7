"""Commands that look at tokens."""

import csv
import json
import re
from typing import Any

import pytest

from service.cli.terminal import output
from tests.cli.conftest import Run
from tests.cli.stub import Stub, token

LIST = "/api/admin/tokens"
ID = "00a1b2c3d4e5f607"


def page(*tokens: dict[str, object], cursor: str | None = None, total: int | None = None) -> dict[str, object]:
    return {"tokens": list(tokens), "nextCursor": cursor, "total": total}


def test_a_list_is_one_line_per_token(stub: Stub, run: Run) -> None:
    stub.on("GET", LIST, page(token(scopes=["a", "b"]), token("never", "00a2", expiresAt=None), total=2))
    result = run("list")
    assert result.stdout.splitlines() == [
        f"{ID}\tcheckout-api\t****-****-****-abcd1234\tactive\t2026-12-20T10:00:00Z\t-\tadmin\ta b",
        "00a2\tnever\t****-****-****-abcd1234\tactive\tnever\t-\tadmin\t-",
    ]
    assert result.stderr == ""
    assert stub.asked[0].query == {"sort": "-createdAt", "limit": "50"}


def test_a_list_as_csv_has_a_heading_and_no_formula(stub: Stub, run: Run) -> None:
    stub.on("GET", LIST, page(token('=1+1, "x"', scopes=["a", "b"], description="-2", expiresAt=None)))
    heading, line = run("list", "--csv").stdout_bytes.decode().split("\r\n")[:2]
    assert heading == "id,name,token,status,subject,scopes,createdAt,createdBy,expiresAt,lastUsedAt,description"
    given = dict(zip(heading.split(","), next(csv.reader([line])), strict=True))
    assert (given["name"], given["scopes"], given["expiresAt"], given["description"]) == (
        '\'=1+1, "x"',
        "a b",
        "",
        "'-2",
    )


def test_filters_go_into_the_query(stub: Stub, run: Run) -> None:
    stub.on("GET", LIST, page())
    who = (
        "--query",
        "é&x",
        "--created-by",
        "ada",
        "--scope",
        "a:b",
        "--subject",
        "s",
        "--last-address",
        "::1",
        "--status",
        "all",
    )
    when = ("--expires-before", "2027-01-31T00:00:00Z", "--unused-for", "90", "--never-used")
    assert run("list", *who, *when, "--sort", "name", "--limit", "7").exit_code == 0
    assert stub.asked[0].query == {
        "status": "all",
        "q": "é&x",
        "createdBy": "ada",
        "scope": "a:b",
        "subject": "s",
        "lastAddress": "::1",
        "expiresBefore": "2027-01-31T00:00:00Z",
        "unusedForDays": "90",
        "neverUsed": "true",
        "sort": "name",
        "limit": "7",
    }


def test_all_follows_the_cursor_to_the_end(stub: Stub, run: Run) -> None:
    stub.on("GET", LIST, page(token("one"), cursor="next", total=2))
    stub.on("GET", LIST, page(token("two"), total=2))
    result = run("list", "--all", "--json")
    assert [one["name"] for one in json.loads(result.stdout)["tokens"]] == ["one", "two"]
    assert [asked.query.get("cursor") for asked in stub.asked] == [None, "next"]


@pytest.mark.parametrize("arguments", [("list", "--csv"), ("audit", "--format", "csv")])
def test_csv_and_json_at_once_are_refused(stub: Stub, run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments, "--json")
    assert (result.exit_code, result.stdout, stub.asked) == (2, "", [])
    assert json.loads(result.stderr)["detail"] == "this prints either CSV or JSON: choose one of them"


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--all", "--limit", "50"),
        ("audit", "--format", "ndjson", "--limit", "50"),
        ("usage", "--service", "--days", "30"),
        ("usage", "a", "--hours", "48"),
    ],
)
def test_an_option_that_would_be_passed_over_is_refused(run: Run, stub: Stub, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout, stub.asked) == (2, "", [])
    assert "--" in result.stderr


@pytest.mark.parametrize("form", ["--json", "--csv", ""])
def test_what_was_read_is_printed_before_the_next_page_is_asked_for(stub: Stub, run: Run, form: str) -> None:
    """A million tokens need not be in memory before the first of them is seen."""
    stub.on("GET", LIST, page(token("one"), token("two"), cursor="next", total=3))
    stub.problem("GET", LIST, 403, "No more.")
    result = run("list", "--all", *filter(None, [form]))
    assert result.exit_code != 0
    assert "one" in result.stdout
    assert "two" in result.stdout


@pytest.mark.parametrize("form", ["--json", "--csv", ""])
def test_what_changed_its_place_between_two_pages_is_listed_once(stub: Stub, run: Run, form: str) -> None:
    stub.on("GET", LIST, page(token("moved", "0" * 16), token("still", "1" * 16), cursor="next"))
    stub.on("GET", LIST, page(token("moved", "0" * 16), token("last", "2" * 16)))
    told = run("list", "--all", "--sort", "lastUsedAt", *filter(None, [form])).stdout
    assert re.findall("moved|still|last(?!U)", told) == ["moved", "still", "last"]


@pytest.mark.parametrize("first", [[], [token("one"), token("two")]])
def test_json_that_breaks_off_is_whole_and_says_that_the_list_is_not(
    stub: Stub, run: Run, first: list[dict[str, Any]]
) -> None:
    stub.on("GET", LIST, page(*first, cursor="next", total=3))
    stub.problem("GET", LIST, 403, "No more.", code="forbidden")
    result = run("list", "--all", "--json")
    assert json.loads(result.stdout) == {"tokens": first, "total": 3, "incomplete": True}
    assert json.loads(result.stderr)["code"] == "forbidden"


def test_a_list_that_is_refused_prints_nothing(stub: Stub, run: Run) -> None:
    stub.problem("GET", LIST, 403, "Not you.")
    for form in ("--json", "--csv"):
        result = run("list", "--all", form)
        assert (result.exit_code, result.stdout, "Not you." in result.stderr) == (1, "", True)


@pytest.mark.parametrize("names", [[], [[]], [["one", "two"], [], ["three"]]])
def test_a_list_of_pages_is_the_json_that_it_were_in_one(capsys: pytest.CaptureFixture[str], names: Any) -> None:
    pages = [[{"name": name, "scopes": []} for name in some] for some in names]
    output.print_json_list("tokens", pages, {"total": 3})
    in_pages = capsys.readouterr().out
    output.print_json({"tokens": [one for page in pages for one in page], "total": 3})
    assert in_pages == capsys.readouterr().out


def test_a_limit_beyond_a_page_is_asked_in_parts_and_kept(stub: Stub, run: Run) -> None:
    stub.on("GET", LIST, page(*[token()] * 200, cursor="next"))
    stub.on("GET", LIST, page(*[token()] * 50, cursor="more"))
    assert len(run("list", "--limit", "250").stdout.splitlines()) == 250
    assert [asked.query["limit"] for asked in stub.asked] == ["200", "50"]


def test_a_page_that_ended_early_is_no_full_page(stub: Stub, run: Run) -> None:
    stub.on("GET", LIST, page(cursor="next"))
    stub.on("GET", LIST, page(token(), cursor="more"))
    stub.on("GET", LIST, page(token()))
    assert len(run("list", "--limit", "2", "--scope", "rare").stdout.splitlines()) == 2
    assert [asked.query["limit"] for asked in stub.asked] == ["2", "2", "1"]


@pytest.mark.usefixtures("terminal")
def test_a_terminal_is_told_how_many_there_are(stub: Stub, run: Run) -> None:
    stub.on("GET", LIST, page(token(), cursor="next", total=1284))
    assert "1 of 1,284; --all shows all of them." in run("list", "--limit", "1").stderr


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(("total", "said"), [(0, "token-service create NAME"), (None, "No token matches.")])
def test_an_empty_list_says_so(stub: Stub, run: Run, total: int | None, said: str) -> None:
    stub.on("GET", LIST, page(total=total))
    result = run("list")
    assert result.stdout == ""
    assert said in result.stderr


def test_show_by_id_is_one_request(stub: Stub, run: Run) -> None:
    limit = {"name": "a", "limit": 100, "periodSeconds": 60, "burst": 20, "used": 1, "remaining": 19, "resetSeconds": 1}
    stub.on("GET", f"{LIST}/{ID}", token(limits=[limit, {**limit, "name": "b"}], metadata={"team": "pay"}))
    result = run("show", ID)
    assert "rate limits\ta=100/60s:20 (19 left) b=100/60s:20 (19 left)" in result.stdout
    assert "metadata\tteam=pay" in result.stdout
    assert "uses left" not in result.stdout
    assert len(stub.asked) == 1


def test_show_by_name_takes_the_exact_one_that_is_not_revoked(stub: Stub, run: Run) -> None:
    old = token("api", "00a2", status="revoked")
    stub.on("GET", LIST, page(token("api-2", "00a1"), old, cursor="next"))
    stub.on("GET", LIST, page(token("api", "00a3")))
    assert json.loads(run("show", "api", "--json").stdout)["id"] == "00a3"
    assert stub.asked[0].query == {"q": "api", "status": "all", "limit": "200"}


def test_show_finds_a_revoked_token_by_its_name_if_there_is_no_other(stub: Stub, run: Run) -> None:
    stub.on("GET", LIST, page(token("api", "00a2", status="revoked"), token("api", "00a1", status="revoked")))
    assert json.loads(run("show", "api", "--json").stdout)["id"] == "00a2"


def test_a_name_in_the_form_of_an_id_is_found(stub: Stub, run: Run) -> None:
    stub.problem("GET", f"{LIST}/{ID}", 404, "No token has this id.")
    stub.on("GET", LIST, page(token(ID, "00a3")))
    assert json.loads(run("show", ID, "--json").stdout)["id"] == "00a3"


def test_a_refusal_is_not_taken_for_an_unknown_id(stub: Stub, run: Run) -> None:
    stub.problem("GET", f"{LIST}/{ID}", 403, "Not you.")
    result = run("show", ID)
    assert (result.exit_code, result.stderr) == (1, "token-service: Not you.\n")


def test_an_unknown_name_fails(stub: Stub, run: Run) -> None:
    stub.on("GET", LIST, page(token("other")))
    result = run("show", "api")
    assert (result.exit_code, result.stderr) == (1, "token-service: no token has the id or name api\n")


@pytest.mark.parametrize("command", ["show", "revoke --yes", "rotate --yes", "list --parent", "create new --like"])
def test_a_secret_in_place_of_a_name_is_neither_sent_nor_printed(stub: Stub, run: Run, command: str) -> None:
    secret = f"rtk_{'0123456789abcdef' * 4}"
    result = run(*command.split(), secret)
    assert (result.exit_code, stub.asked) == (2, [])
    assert "list finds whose it is" in result.stderr and secret[:20] not in result.output


def test_of_a_secret_its_end_is_searched_for(stub: Stub, run: Run) -> None:
    stub.on("GET", LIST, page())
    run("list", "--query", f"rtk_{'0123456789abcdef' * 4}")
    assert stub.asked[0].query["q"] == "89abcdef"


def test_stats_are_told_under_their_names(stub: Stub, run: Run) -> None:
    counts = {
        "total": 6,
        "active": 3,
        "expired": 2,
        "inactive": 1,
        "revoked": 9,
        "expiring14d": 1,
        "oneTimeOutstanding": 4,
        "sessions": 5,
    }
    stub.on("GET", f"{LIST}/stats", counts)
    assert run("stats").stdout.splitlines()[-3:] == [
        "expire in 14 days\t1",
        "one-time tokens\t4",
        "sessions\t5",
    ]
    assert json.loads(run("stats", "--json").stdout) == counts


def test_usage_is_a_line_per_day(stub: Stub, run: Run) -> None:
    days = [
        {"date": "2026-11-19", "allowed": 5, "denied": 1},
        {"date": "2026-11-20", "allowed": 0, "denied": 0},
    ]
    stub.on("GET", f"{LIST}/{ID}/usage", {"days": days, "lastUsedAt": None, "lastAddress": None})
    assert run("usage", ID, "--days", "2").stdout == "2026-11-19\t5\t1\n2026-11-20\t0\t0\n"
    assert stub.asked[0].query == {"days": "2"}


def test_audit_pages_until_its_limit(stub: Stub, run: Run) -> None:
    entry = {
        "id": "1-0",
        "at": "2026-11-20T10:00:00Z",
        "action": "token.revoked",
        "actor": "ada",
        "target": ID,
        "address": "127.0.0.1",
        "channel": "api",
        "requestId": "r-1",
        "before": None,
        "after": None,
    }
    repeats = {"count": 12, "first": "2026-11-20T09:59:02Z", "last": "2026-11-20T09:59:58Z"}
    stub.on("GET", "/api/admin/audit", {"entries": [entry] * 200, "nextCursor": "next"})
    stub.on("GET", "/api/admin/audit", {"entries": [entry | {"after": repeats}] * 10, "nextCursor": None})
    result = run("audit", "--limit", "300", "--actor", "ada", "--from", "2026-11-01T00:00:00Z")
    assert result.stdout.splitlines() == [
        *[f"2026-11-20T10:00:00Z\ttoken.revoked\t-\tada\t{ID}\t127.0.0.1\tapi\tr-1"] * 200,
        *[f"2026-11-20T10:00:00Z\ttoken.revoked\t12 since 09:59:02\tada\t{ID}\t127.0.0.1\tapi\tr-1"] * 10,
    ]
    assert stub.asked[1].query == {
        "actor": "ada",
        "from": "2026-11-01T00:00:00Z",
        "limit": "100",
        "cursor": "next",
    }


def test_audit_streams_every_byte_as_it_comes(stub: Stub, run: Run) -> None:
    whole = b'{"action":"token.created"}\n' * 10_000
    stub.on("GET", "/api/admin/audit", whole)
    assert run("audit", "--format", "ndjson").stdout_bytes == whole
    assert stub.asked[0].query == {"format": "ndjson"}


def test_a_refused_stream_fails_like_any_other(stub: Stub, run: Run) -> None:
    stub.problem("GET", "/api/admin/audit", 403, "Not you.")
    assert run("audit", "--format", "csv").exit_code == 1


def test_audit_as_json_is_its_entries(stub: Stub, run: Run) -> None:
    stub.on("GET", "/api/admin/audit", {"entries": [{"id": "1-0"}], "nextCursor": None})
    assert json.loads(run("audit", "--json").stdout) == {"entries": [{"id": "1-0"}]}


@pytest.mark.usefixtures("terminal")
def test_a_terminal_is_told_of_more_entries(stub: Stub, run: Run) -> None:
    stub.on("GET", "/api/admin/audit", {"entries": [{"id": "1-0"}], "nextCursor": "next"})
    assert "There are more" in run("audit", "--limit", "1").stderr


@pytest.mark.usefixtures("terminal")
def test_a_terminal_is_told_of_the_last_use(stub: Stub, run: Run) -> None:
    used = {"days": [], "lastUsedAt": "2026-11-20T10:00:00Z", "lastAddress": "192.0.2.7"}
    stub.on("GET", f"{LIST}/{ID}/usage", used)
    assert "Last used 2026-11-20T10:00:00Z from 192.0.2.7." in run("usage", ID).stderr
    assert json.loads(run("usage", ID, "--json").stdout) == used


@pytest.mark.usefixtures("terminal")
def test_a_list_fits_eighty_columns_with_whole_ids_and_needs_no_more_words(
    stub: Stub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    never = token("never", "00a2", expiresAt=None, lastUsedAt=None)
    # Of a secret of another system less is shown, or nothing.
    ends = [token("imported", f"00a{place}", token=f"****-****-****-{end}") for place, end in ((3, "d-f"), (4, ""))]
    stub.on("GET", LIST, page(token("n" * 80), never, *ends, total=4))
    result = run("list")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert f"\n{ID}  nnn" in result.stdout
    assert "…abcd1234  active  2026-12-20" in result.stdout
    assert "…abcd1234  active  never" in result.stdout
    assert [line.split()[2] for line in result.stdout.splitlines()[-2:]] == ["…d-f", "…"]
    assert result.stderr == ""
