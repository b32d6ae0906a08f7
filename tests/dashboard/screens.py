"""The screens behind the list, each with made-up answers in which somebody else's words stand wherever they may."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from playwright.sync_api import Page, Route

INSTANT = "2026-11-20T22:31:07Z"


class Screen(NamedTuple):
    """Its path, what the API answers it by pattern of the address, a selector of what is drawn from that; the same
    where there is nothing, and what the screen says then; what a person does until then where it loads nothing by
    itself."""

    path: str
    answers: Callable[[str], dict[str, Any]]
    drawn: str
    nothing: dict[str, Any]
    said: str
    act: Callable[[Page], object] | None = None


def token(text: str, **more: Any) -> dict[str, Any]:
    return {"id": "00aa", "name": text, "usage14d": [5] * 14, "lastUsedAt": INSTANT, "status": "active", **more}


def one_token(text: str, derived: int = 1) -> dict[str, Any]:
    """A derived token on its own screen, and below it one more."""
    whole: dict[str, Any] = {
        "scopes": [text, "self:derive"],
        "subject": text,
        "expiresAt": INSTANT,
        "limits": [],
        "maxUses": None,
    }
    whole["subjectLimits"] = [{"name": text, "limit": 5, "periodSeconds": 60, "remaining": 4, "resetSeconds": 9}]
    whole |= {"createdAt": INSTANT, "createdBy": text, "allowedNetworks": [text], "metadata": {}, "description": text}
    tokens = [token(text, **whole, derived=derived, token="****-****-****-****")] * derived
    record = {**token(text, **whole, derived=derived), "token": "****-****-****-00ff00ff"}
    entry = {"action": "token.derived", "actor": text, "at": INSTANT, "channel": "self", "address": text}
    return {
        "**/api/admin/tokens/00aa": record,
        # The one at the top, which the address of a derived one begins with.
        "**/api/admin/tokens/00bb": record,
        "**/tokens/00aa/usage?**": {"days": [], "lastUsedAt": None, "lastAddress": None, "lastUserAgent": None},
        "**/api/admin/tokens?**": {"tokens": tokens, "nextCursor": "more" if derived else None},
        "**/api/admin/audit?target=00aa&**": {"entries": [entry], "nextCursor": None},
    }


def usage(text: str) -> dict[str, Any]:
    first = datetime(2026, 11, 20, tzinfo=UTC)
    hours = [
        {
            "hour": f"{first + timedelta(hours=at):%Y-%m-%dT%H:00:00Z}",
            "allowed": 900 * at,
            "denied": 40,
            "reasons": {"rate_limited": 30, text: 10},
        }
        for at in range(48)
    ]
    hygiene = {"idle": {"90d": 3}, "neverUsed": 2, "expiring": {"14d": 1}, "neverExpire": 1}
    return {
        "**/api/admin/tokens?**": {"tokens": [token(text)], "nextCursor": None, "total": 1},
        "**/api/admin/usage?**": {"hours": hours},
        "**/hygiene": hygiene,
    }


def explained(text: str) -> dict[str, Any]:
    checks = [
        {"check": "form", "result": "skipped", "detail": text},
        {"check": "active", "result": "pass", "detail": text, "at": INSTANT, "by": text},
        {"check": "scopes", "result": "fail", "detail": text, "asked": [text], "held": [text, text]},
        {"check": text, "result": "pass", "detail": text},
    ]
    gateway = {"status": 403, "headers": {"www-authenticate": text}, "body": text}
    return {"**/tokens/explain": {"outcome": "insufficient_scope", "checks": checks, "answer": gateway}}


def webhooks(text: str) -> dict[str, Any]:
    delivery = {"id": "1", "event": text, "attempts": 2, "createdAt": INSTANT, "nextAttemptAt": INSTANT}
    deliveries = [
        {**delivery, "status": status, "lastStatus": 500, "lastError": text}
        for status in ("pending", "delivered", "dead", text)
    ]
    url = f"https://hooks.example.com/{text}"
    webhook = {"id": "00aa", "url": url, "events": [text, "token.revoked"], "createdAt": INSTANT, "createdBy": text}
    return {
        "**/api/admin/webhooks": {
            "webhooks": [{**webhook, "isActive": True, "waiting": 3, "unread": 40, "dropped": 1}]
        },
        "**/webhooks/00aa/deliveries?**": {"deliveries": deliveries},
    }


def sessions(text: str) -> dict[str, Any]:
    one = {"id": "s1", "username": text, "createdAt": INSTANT, "lastSeenAt": INSTANT, "expiresAt": INSTANT}
    account = {"name": text, "role": "admin", "disabled": True, "lastSignInAt": INSTANT}
    entry = {"target": "s1", "channel": text, "address": text}
    return {
        "**/api/admin/sessions?**": {"sessions": [one, {**one, "id": "s2", "lastSeenAt": None}]},
        "**/api/admin/accounts": {"accounts": [account, {**account, "lastSignInAt": None}]},
        "**/api/admin/audit?**": {"entries": [entry], "nextCursor": None},
    }


def shared_limits(text: str) -> dict[str, Any]:
    left = {"limit": 5, "used": 1, "remaining": 4, "resetSeconds": 9}
    calendar = {"unit": "month", "day": 15, "timeZone": text}
    limits = [{"name": text, "periodSeconds": 60, **left}, {"name": "month", "calendar": calendar, **left}]
    subjects = [{"subject": text, "limits": limits}, {"subject": "acme", "limits": limits[1:]}]
    return {"**/subject-limits**": {"subjects": subjects, "nextCursor": "acme"}}


def found(text: str) -> dict[str, Any]:
    tokens = [token(text, createdBy=text), token("one", createdBy="maria", status="inactive", lastUsedAt=None)]
    return {
        "**/tokens/revoke": {"matched": 42, "sample": tokens},
        "**/tokens/deactivate": {"matched": 41, "sample": tokens},
    }


def count_all(page: Page) -> None:
    page.get_by_label("All tokens").check()
    page.get_by_role("button", name="Count them").click()


def tried(text: str) -> dict[str, Any]:
    lines = [{"line": at, "name": text, "code": text, "message": said} for at, said in ((2, ""), (3, text))]
    return {"**/tokens/import**": {"imported": 7, "byDigest": 2, "shortened": 1, "skipped": lines}}


def try_a_file(page: Page) -> None:
    lines = {"name": "tokens.ndjson", "mimeType": "application/x-ndjson", "buffer": b'{"name":"a"}'}
    page.get_by_label("File of lines").set_input_files([lines])  # type: ignore[list-item]
    page.get_by_role("button", name="Try it").click()


NO_CHECKS = {"outcome": "active", "checks": [], "answer": {"status": 200, "headers": {}, "body": None}}
NO_USE = {
    "**/hygiene": {"idle": {"90d": 0}, "neverUsed": 0, "expiring": {"14d": 0}, "neverExpire": 0},
    "**/api/admin/tokens?**": {"tokens": [], "nextCursor": None, "total": 0},
    "**/api/admin/usage?**": {"hours": []},
}
NOBODY = {
    "**/api/admin/sessions?**": {"sessions": []},
    "**/api/admin/accounts": {"accounts": []},
    "**/api/admin/audit?**": {"entries": []},
}
NO_LINE = {"imported": 0, "byDigest": 0, "shortened": 0, "skipped": []}
USAGE = Screen("usage", usage, ".rank .name", NO_USE, "No token was checked")
SCREENS = [
    Screen("tokens/00bb/00cc/00aa", one_token, ".rank .name", one_token("", 0), "No living token with this ID."),
    Screen("tokens/00aa", one_token, ".rank .name", one_token("", 0), "None. Its holder makes them"),
    USAGE,
    Screen("explain?id=0123456789abcdef", explained, ".checks", {"**/explain": NO_CHECKS}, "Accepted"),
    Screen("limits", shared_limits, "td .name", {"**/subject-limits**": {"subjects": []}}, "No subject has limits."),
    Screen("webhooks", webhooks, ".facts", {"**/api/admin/webhooks": {"webhooks": []}}, "No webhooks yet."),
    Screen("sessions", sessions, "td .name", NOBODY, "Change accounts"),
    Screen(
        "kill-switch",
        found,
        ".rank .name",
        {"**/tokens/*": {"matched": 0, "sample": []}},
        "No token matches",
        count_all,
    ),
    Screen("import", tried, "td .name", {"**/import**": NO_LINE}, "0 tokens would be imported.", try_a_file),
]


def answer(page: Page, screen: Screen, text: str) -> None:
    """Let the API answer with these words from now on."""
    for pattern, body in screen.answers(text).items():
        page.route(pattern, partial(_fulfill, body))


def _fulfill(body: Any, route: Route) -> None:
    route.fulfill(json=body)
