"""Somebody says that Redis may be empty."""

import json

from tests.cli.conftest import Run
from tests.cli.stub import Stub


def test_a_lost_store_is_confirmed_after_a_question(stub: Stub, run: Run) -> None:
    stub.on("POST", "/api/admin/confirm-reset", {"message": "The store is taken as it is"})
    refused = run("confirm-reset")
    assert (refused.exit_code, "Redis has lost what was there" in refused.stderr, stub.asked) == (2, True, [])
    assert run("confirm-reset", "--yes").stdout == "the store is taken as it is\n"
    assert json.loads(run("confirm-reset", "--yes", "--json").stdout)["message"]
