"""Commands that issue or change a token."""

import json

import pytest

from service.tokens.managed.rotation import LONGEST_OVERLAP_SECONDS
from tests.cli.conftest import Run
from tests.cli.stub import Stub, token

LIST = "/api/admin/tokens"
ID = "00a1b2c3d4e5f607"
SECRET = "rtk_" + "ab" * 32


@pytest.fixture
def issuing(stub: Stub) -> Stub:
    stub.on("POST", LIST, {"message": "created", "token": token(token=SECRET)}, status=201)
    stub.on("POST", f"{LIST}/{ID}/rotate", {"message": "rotated", "token": token(token=SECRET)})
    return stub


def test_create_sends_what_was_asked_for_and_nothing_else(issuing: Stub, run: Run) -> None:
    assert run("create", "api").exit_code == 0
    assert issuing.asked[0].body == {"name": "api", "duration": "1month"}


def test_create_sends_every_option(issuing: Stub, run: Run) -> None:
    result = run(
        "create",
        "api",
        "--expires",
        "never",
        "--description",
        "für uns",
        "--scope",
        "a:b,c",
        "--scope",
        "d",
        "--subject",
        "shop",
        "--rate",
        "100/60s:20",
        "--network",
        "10.0.0.0/8",
        "--network",
        "::1/128",
        "--max-uses",
        "5",
        "--meta",
        "team=pay",
        "--meta",
        "a=b=c",
    )
    assert result.exit_code == 0
    assert issuing.asked[0].body == {
        "name": "api",
        "duration": "never",
        "description": "für uns",
        "scopes": ["a:b", "c", "d"],
        "subject": "shop",
        "limits": [{"limit": 100, "periodSeconds": 60, "burst": 20}],
        "allowedNetworks": ["10.0.0.0/8", "::1/128"],
        "maxUses": 5,
        "metadata": {"team": "pay", "a": "b=c"},
    }


def test_create_like_another_takes_what_that_has_where_no_option_says_otherwise(issuing: Stub, run: Run) -> None:
    limit = {"name": "day", "limit": 100, "periodSeconds": 60, "burst": 20}
    standing = [{**limit, "used": 1, "remaining": 19, "resetSeconds": 1}]
    pattern = token(scopes=["a", "b"], subject="shop", description="", limits=standing, metadata={"team": "pay"})
    issuing.on("GET", f"{LIST}/{ID}", pattern)

    assert run("create", "api", "--like", ID, "--scope", "c").exit_code == 0
    copied = {"scopes": ["c"], "subject": "shop", "limits": [limit], "metadata": {"team": "pay"}}
    assert issuing.asked[1].body == {"name": "api", "duration": "1month", **copied}


@pytest.mark.parametrize("command", [("create", "api"), ("rotate", ID)])
def test_quiet_prints_the_secret_alone(issuing: Stub, run: Run, command: tuple[str, ...]) -> None:
    result = run(*command, "-q")
    assert (result.stdout, result.stderr) == (f"{SECRET}\n", "")


@pytest.mark.parametrize("command", [("create", "api"), ("rotate", ID)])
def test_the_secret_is_shown_once_and_said_to_be(issuing: Stub, run: Run, command: tuple[str, ...]) -> None:
    result = run(*command)
    assert result.output.count(SECRET) == 1
    assert f"secret\t{SECRET}" in result.stdout
    assert "shown this once" in result.stderr
    assert json.loads(run(*command, "--json").stdout)["token"] == SECRET


def test_a_bad_lifetime_is_a_usage_error_before_anything_is_asked(issuing: Stub, run: Run) -> None:
    result = run("create", "api", "--expires", "soon")
    assert result.exit_code == 2
    assert "write it like 90d" in result.stderr
    assert not issuing.asked


def test_rotate_leaves_a_day_unless_told_otherwise(issuing: Stub, run: Run) -> None:
    assert run("rotate", ID, "-q").exit_code == 0
    assert run("rotate", ID, "-q", "--overlap", "7d").exit_code == 0
    assert [asked.body for asked in issuing.asked] == [{"overlapSeconds": 86400}, {"overlapSeconds": 604800}]


@pytest.mark.parametrize("command", [("rotate", ID), ("self", "rotate"), ("webhooks", "rotate", "wh1")])
def test_an_overlap_that_is_too_long_is_told_as_it_was_written(
    issuing: Stub, run: Run, command: tuple[str, ...]
) -> None:
    result = run(*command, "--overlap", f"{LONGEST_OVERLAP_SECONDS + 1}s")
    assert result.exit_code == 2
    assert "'604801s': an old secret stays valid for 7d at most." in result.stderr
    assert not issuing.asked


def test_rotate_at_once_asks(issuing: Stub, run: Run) -> None:
    result = run("rotate", ID, "--overlap", "0")
    assert result.exit_code == 2
    assert "add --yes" in result.stderr
    assert not issuing.asked
    assert run("rotate", ID, "--overlap", "0", "--yes").exit_code == 0
    assert issuing.asked[0].body == {"overlapSeconds": 0}


def test_update_changes_and_clears(stub: Stub, run: Run) -> None:
    stub.on("PATCH", LIST, {"message": "updated", "token": token("new")})
    result = run(
        "update",
        ID,
        "--name",
        "new",
        "--expires",
        "2027-01-31",
        "--scope",
        "a",
        "--rate",
        "5/s",
        "--clear",
        "networks",
        "--clear",
        "max-uses",
        "--clear",
        "meta",
        "--clear",
        "description",
        "--clear",
        "subject",
    )
    assert "name\tnew" in result.stdout
    assert stub.asked[0].body == {
        "id": ID,
        "name": "new",
        "expiresAt": "2027-01-31T00:00:00Z",
        "scopes": ["a"],
        "limits": [{"limit": 5, "periodSeconds": 1}],
        "allowedNetworks": [],
        "maxUses": None,
        "metadata": {},
        "description": "",
        "subject": "",
    }


def test_update_finds_a_token_by_its_name(stub: Stub, run: Run) -> None:
    stub.on("GET", LIST, {"tokens": [token("api")], "nextCursor": None, "total": None})
    stub.on("PATCH", LIST, {"message": "updated", "token": token("api")})
    assert run("update", "api", "--expires", "never").exit_code == 0
    assert stub.asked[1].body == {"id": ID, "expiresAt": None}


def test_update_of_nothing_is_a_usage_error(stub: Stub, run: Run) -> None:
    assert run("update", ID).exit_code == 2
    assert not stub.asked


def test_update_as_json_is_the_token(stub: Stub, run: Run) -> None:
    stub.on("PATCH", LIST, {"message": "updated", "token": token("new")})
    assert json.loads(run("update", ID, "--name", "new", "--json").stdout) == token("new")
