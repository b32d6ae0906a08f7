"""Every button of the page has its operation in the reference and its command, and every call has a button."""

import re
from typing import NamedTuple

import click
import pytest

from service.app import openapi_document
from service.cli import LazyGroup
from tests.dashboard.test_house_rules import MODULES


class Deed(NamedTuple):
    """The id of an operation, a command that does the same, the buttons that lead to it, and what they send as the
    source writes it; nothing for what is read."""

    operation: str
    command: str
    buttons: set[str]
    sent: frozenset[str] | set[str] = frozenset()


DEEDS = [
    Deed("createSession", "login", {"Sign in"}, {'"POST", SESSION'}),
    Deed("endSession", "logout", {"Sign out"}, {'"DELETE", SESSION'}),
    Deed("createToken", "create --like", {"Create token", "Create like this…"}, {'"POST", TOKENS'}),
    Deed("changeTokens", "update --rate --max-uses --expires", {"Edit", "Save"}, {'"PATCH", TOKENS'}),
    Deed("changeTokens", "activate", {"Activate"}),
    Deed("changeTokens", "deactivate", {"Deactivate", "Deactivate instead"}),
    Deed("rotateToken", "rotate --overlap", {"Rotate…", "Rotate token"}, {'"POST", `${TOKENS}/${token.id}/rotate`'}),
    Deed("endOverlap", "rotate --end", {"End it now"}, {'"DELETE", `${TOKENS}/${this.id}/rotate`'}),
    Deed(
        "revokeTokens",
        "revoke",
        {"Revoke…", "Revoke {}"},
        {'"DELETE", `${TOKENS}?id=${choice.tokens[0].id}`', '"DELETE", `${TOKENS}?ids=${ids}`'},
    ),
    Deed("revokeManyTokens", "revoke --all", {"Revoke {}…"}, {'"POST", `${TOKENS}/revoke`'}),
    Deed(
        "revokeManyTokens",
        "revoke --created-by --scope --subject --last-address --all --dry-run",
        {"Count them"},
        {'"POST", `${TOKENS}/${word}`'},
    ),
    Deed(
        "deactivateManyTokens",
        "deactivate --unused-for --never-used",
        {"Deactivate them", "Deactivate those over 30 days old", "Deactivate {}"},
        {'"POST", `${TOKENS}/deactivate`'},
    ),
    Deed("setSubjectLimits", "subjects limit --rate", {"Limit a subject"}, {'"PUT", LIMITS'}),
    Deed(
        "removeSubjectLimits",
        "subjects unlimit",
        {"Remove"},
        {'"DELETE", withQuery(LIMITS, { subject })'},
    ),
    Deed("listSubjectLimits", "subjects list", {"First page", "Next"}),
    Deed("listTokens", "list --parent", {"Show more", "What it was derived from"}),
    Deed(
        "endDerivedTokens",
        "end-derived --id",
        {"End {}", "End all {}…", "End…", "End for good"},
        {'"DELETE", withQuery(`${TOKENS}/${id}/derived`, { id: one })'},
    ),
    Deed("listTokens", "list --csv", {"CSV of the list", "Download CSV"}),
    Deed("listTokens", "list --created-by --subject --last-address", {"Filters and columns…", "Show"}),
    Deed("exportTokens", "export", {"NDJSON"}),
    Deed(
        "importTokens",
        "import --dry-run --number-names --zone",
        {"Import…", "Import {}", "Try it"},
        {'"POST", withQuery(`${TOKENS}/import`, { dryRun, ...how })'},
    ),
    Deed("explainToken", "explain --scope --address --path", {"Explain"}, {'"POST", `${TOKENS}/explain`'}),
    Deed("listAuditEntries", "audit --format", {"Export"}),
    Deed(
        "endSessionsOfUser",
        "sessions revoke --id",
        {"End", "End all", "End all sessions"},
        {'"POST", `${SESSIONS}/revoke`'},
    ),
    Deed("createWebhook", "webhooks add --event", {"Add webhook"}, {'"POST", WEBHOOKS'}),
    Deed("testWebhook", "webhooks test", {"Send a test"}, {'"POST", `${WEBHOOKS}/${webhook.id}/${path}`'}),
    Deed("sendDeliveryAgain", "webhooks send", {"Send again"}),
    Deed(
        "rotateWebhook",
        "webhooks rotate --overlap",
        {"Rotate secret…", "Rotate secret"},
        {'"POST", `${WEBHOOKS}/${webhook.id}/rotate`'},
    ),
    Deed("changeWebhook", "webhooks activate", {"Switch on"}, {'"PATCH", `${WEBHOOKS}/${webhook.id}`'}),
    Deed("changeWebhook", "webhooks deactivate", {"Switch off"}),
    Deed(
        "deleteWebhook",
        "webhooks remove",
        {"Delete…", "Delete webhook"},
        {'"DELETE", withQuery(WEBHOOKS, { id: webhook.id })'},
    ),
]
# Buttons that send nothing, or the same once more.
ON_THE_PAGE = {
    *(
        "Actions for {}",
        "Add a limit",
        "Add scope {}",
        "Remove this limit",
        "All tokens",
        "API reference",
        "Cancel",
        "Clear filters",
        "Clear selection",
    ),
    *(
        "Close",
        "Copy",
        "Copy ID",
        "Copy {}",
        "Copy and close",
        "Done",
        "Forget {}",
        "Keyboard shortcuts",
        "More",
        "Open",
    ),
    *("Reload", "Save this view…", "Try again", "Try now", "View"),
}
BUTTON = re.compile(r'h\("(?:button|a\.btn)|\b(?:act|off|ending|link|changing|submitButton|turn)\((?=[^)]*")')
WORDS = re.compile(r'"([A-Z][^"]*)"|`([A-Z][^`]*)`')
# Entries of menus, words of forms, and what follows from a token's state.
OTHERS = re.compile(r'\["([A-Z][^"]*)", (?:\(|screen|app)|\[`([A-Z][^`]*)`, |\bgo: "([^"]+)"|active: "(\w+)"')
TITLES = {"Keyboard shortcuts (?)", "Send {} of {} again"}


def argument(text: str, start: int) -> str:
    """What stands in the parentheses that begin there."""
    depth, at = 0, text.index("(", start)
    for end in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if not depth:
            break
    return text[at:end]


def labels(module: str) -> set[str]:
    """The words on the buttons that a module makes; what varies is {}."""
    text = MODULES[module]
    parts = [argument(text, found.start()) for found in BUTTON.finditer(text)]
    found = [match for part in parts for match in WORDS.findall(part)] + OTHERS.findall(text)
    return {re.sub(r"\$\{[^}]*\}", "{}", "".join(match)) for match in found if not "".join(match).endswith(".")}


def test_every_button_has_its_row() -> None:
    found = set().union(*map(labels, MODULES)) - TITLES - {"HTTP {}"}
    assert found == ON_THE_PAGE.union(*(deed.buttons for deed in DEEDS))


def test_every_call_that_changes_something_has_its_row() -> None:
    calls = re.compile(r"\bsend\((\"[A-Z]+\", (?:withQuery\(.+? \}\)|`[^`]+`|[\w.]+))")
    sent = {call for name, text in MODULES.items() if name != "api.js" for call in calls.findall(text)}
    assert sent == set().union(*(deed.sent for deed in DEEDS))


@pytest.fixture(scope="module")
def operations() -> set[str]:
    return {one["operationId"] for path in openapi_document()["paths"].values() for one in path.values()}


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: f"{deed.operation}: {deed.command}")
def test_the_operation_and_the_command_exist(operations: set[str], deed: Deed) -> None:
    assert deed.operation in operations
    place: click.Command | None = LazyGroup()
    words = deed.command.split()
    while isinstance(place, click.Group) and words and not words[0].startswith("-"):
        place = place.get_command(click.Context(place), words.pop(0))
    assert place is not None
    known = {option for parameter in place.params for option in parameter.opts}
    assert set(words) <= known
