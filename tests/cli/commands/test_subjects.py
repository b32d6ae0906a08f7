"""Limits that the tokens of a subject share, by the command line."""

import pytest

from tests.cli.conftest import Run
from tests.cli.stub import Stub

PATH = "/api/admin/subject-limits"
SHOWN = {
    "subject": "acme",
    "limits": [
        {
            "name": "m",
            "limit": 9,
            "calendar": {"unit": "month", "day": 15, "timeZone": "Europe/Berlin"},
            "used": 2,
            "remaining": 7,
            "resetSeconds": 5,
        }
    ],
}


def test_a_subject_is_limited_shown_and_unlimited(stub: Stub, run: Run) -> None:
    stub.on("PUT", PATH, SHOWN)
    stub.on("GET", PATH, {"subjects": [SHOWN], "nextCursor": None})
    stub.on("DELETE", PATH, {"message": "gone"})
    row = "acme\tm=9/month@15@Europe/Berlin (7 left)"
    assert run("subjects", "limit", "acme", "--rate", "m=9/month@15@Europe/Berlin").stdout.splitlines()[-1] == row
    limit = {"name": "m", "limit": 9, "calendar": {"unit": "month", "day": 15, "timeZone": "Europe/Berlin"}}
    assert stub.asked[-1].body == {"subject": "acme", "limits": [limit]}
    assert run("subjects", "list", "acme").stdout.splitlines()[-1] == row
    assert run("subjects", "unlimit", "acme", "--yes").exit_code == 0
    assert stub.asked[-1].query == {"subject": "acme"}
    assert run("subjects", "limit", "acme").exit_code == 2


@pytest.mark.usefixtures("terminal")
def test_a_person_is_told_that_a_list_is_empty(stub: Stub, run: Run) -> None:
    stub.on("GET", PATH, {"subjects": [], "nextCursor": None})
    result = run("subjects", "list")
    assert (result.stdout, result.stderr) == ("", "No subject has limits.\n")
