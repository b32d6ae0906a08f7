"""Every call that a screen behind the list sends is one operation of the reference, and one command does the same."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest

from service.app import openapi_document
from service.cli import LazyGroup
from tests.dashboard.test_house_rules import MODULES

# By module: what it sends, as the source writes it; the operation; the command.
CALLS = [
    (
        "ending.js",
        '"POST", `${TOKENS}/${word}`',
        "POST /api/admin/tokens/revoke",
        "revoke --subject --last-address --all",
    ),
    (
        "transfer.js",
        '"POST", `${TOKENS}/import${dryRun ? "?dryRun=true" : ""}`',
        "POST /api/admin/tokens/import",
        "import --dry-run",
    ),
    ("sessions.js", '"POST", `${SESSIONS}/revoke`', "POST /api/admin/sessions/revoke", "sessions revoke --id"),
    ("webhooks.js", '"POST", WEBHOOKS', "POST /api/admin/webhooks", "webhooks add --event"),
    (
        "webhooks.js",
        '"POST", `${WEBHOOKS}/${webhook.id}/${path}`',
        "POST /api/admin/webhooks/{id}/test",
        "webhooks test",
    ),
    (
        "webhooks.js",
        '"POST", `${WEBHOOKS}/${webhook.id}/${path}`',
        "POST /api/admin/webhooks/{id}/deliveries/{delivery}/send",
        "webhooks send",
    ),
    (
        "webhooks.js",
        '"POST", `${WEBHOOKS}/${webhook.id}/rotate`',
        "POST /api/admin/webhooks/{id}/rotate",
        "webhooks rotate --overlap",
    ),
    ("webhooks.js", '"PATCH", `${WEBHOOKS}/${webhook.id}`', "PATCH /api/admin/webhooks/{id}", "webhooks deactivate"),
    (
        "webhooks.js",
        '"DELETE", `${WEBHOOKS}?id=${encodeURIComponent(webhook.id)}`',
        "DELETE /api/admin/webhooks",
        "webhooks remove",
    ),
    ("explain.js", '"POST", `${TOKENS}/explain`', "POST /api/admin/tokens/explain", "explain --scope --address --path"),
    ("usage.js", '"POST", `${TOKENS}/deactivate`', "POST /api/admin/tokens/deactivate", "deactivate --unused-for"),
]
SCREENS = [name for name in re.findall(r'from "\./(\w+\.js)"', MODULES["screens.js"]) if name != "token.js"]


@pytest.fixture(scope="module")
def paths() -> dict[str, Any]:
    return dict(openapi_document()["paths"])


@pytest.mark.parametrize("module", SCREENS)
def test_the_table_names_all_that_a_screen_sends(module: str) -> None:
    sent = set(re.findall(r"\bsend\((\"[A-Z]+\", (?:`[^`]+`|[\w.]+))", MODULES[module]))
    assert sent == {call for name, call, _, _ in CALLS if name == module}


@pytest.mark.parametrize(("operation", "command"), sorted({row[2:] for row in CALLS}))
def test_the_operation_and_the_command_exist(paths: dict[str, Any], operation: str, command: str) -> None:
    method, _, path = operation.partition(" ")
    assert method.lower() in paths[path]
    place: click.Command | None = LazyGroup()
    words = command.split()
    while isinstance(place, click.Group):
        place = place.get_command(click.Context(place), words.pop(0))
    assert place is not None
    known = {option for parameter in place.params for option in parameter.opts}
    assert set(words) <= known
