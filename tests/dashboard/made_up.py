"""A use of weeks, made up for the pictures: what the API would answer then."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import Route

# Name, description, scopes, seconds since the last use (0 for never), checks on a busy day.
MADE_UP = [
    ("staging-smoke-tests", "CI", [], 0, 0),
    ("legacy-importer", "Data platform · paused during migration", [], 864_000, 9),
    ("partner-acme", "Partner access, contract ends in March", [], 259_200, 40),
    ("billing-export", "Finance", ["invoices:read"], 3600, 2500),
    ("checkout-api", "Payments", ["orders:read", "orders:write"], 120, 50_000),
    ("grafana-datasource", "Observability", ["metrics:read"], 12, 9000),
    ("mobile-gateway", "Edge team", ["*:read"], 1, 180_000),
]
HYGIENE = {
    "idle": {"30d": 31, "90d": 14},
    "neverUsed": 9,
    "countedAt": "2026-11-20T22:30:00Z",
    "expiring": {"1d": 0, "7d": 3, "14d": 12, "30d": 40},
    "neverExpire": 2,
    "expired": {"7d": 4},
}


def series(name: str, days: int, busy: int) -> list[int]:
    """The same made-up numbers for a token each time."""
    draw = random.Random(name)
    return [draw.randint(busy // 3, busy) for _ in range(days)]


def as_used(route: Route) -> None:
    """The service's answer, with a use of weeks in it."""
    answer = route.fetch()
    body: dict[str, Any] = answer.json()
    now = datetime.now(UTC)
    known = {name: (ago, busy) for name, _, _, ago, busy in MADE_UP}
    for token in body.get("tokens", [body]):
        ago, busy = known.get(token.get("name"), (0, 0))
        if ago:
            token["lastUsedAt"] = (now - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
            token["usage14d"] = series(token["name"], 14, busy)
    route.fulfill(response=answer, body=json.dumps(body))


def as_counted(route: Route) -> None:
    now = datetime.now(UTC)
    allowed, denied = series("checkout-api", 30, 50_000), series("denied", 30, 900)
    days = [
        {
            "date": (now - timedelta(days=29 - at)).strftime("%Y-%m-%d"),
            "allowed": allowed[at],
            "denied": denied[at] * (at % 3 == 1),
        }
        for at in range(30)
    ]
    last = (now - timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    route.fulfill(json={"days": days, "lastUsedAt": last, "lastAddress": "10.4.8.21", "lastUserAgent": None})


def as_busy(route: Route) -> None:
    """The hours of a service whose nights are quiet."""
    size = int(route.request.url.rpartition("=")[2])
    first = datetime.now(UTC).replace(minute=0, second=0) - timedelta(hours=size - 1)
    hours = []
    for at, checks in enumerate(series("service", size, 9000)):
        hour = first + timedelta(hours=at)
        allowed = int(checks * (1 - abs(hour.hour - 13) / 16))
        reasons = {"rate_limited": allowed // 30, "insufficient_scope": allowed // 90, "expired": at % 3}
        denied = sum(reasons.values()) if at % 4 == 1 else 0
        hours.append(
            {
                "hour": hour.strftime("%Y-%m-%dT%H:00:00Z"),
                "allowed": allowed,
                "denied": denied,
                "reasons": reasons if denied else {},
            }
        )
    route.fulfill(json={"hours": hours})


def as_told(route: Route) -> None:
    """Two receivers, one of which was away for a while."""
    now = datetime.now(UTC)

    def ago(seconds: int) -> str:
        return (now - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")

    hooks = [
        ("billing.example.com/hooks/tokens", ["token.created", "token.revoked", "token.rotated"], 1, 3, 0),
        ("siem.example.com/in", ["token.expired", "token.limit_exceeded"], 0, 0, 0),
    ]
    told = [
        ("token.revoked", "pending", 40, 2, 503, "answered 503"),
        ("token.created", "delivered", 4000, 1, 204, None),
        ("token.rotated", "delivered", 9000, 3, 200, None),
        ("token.created", "dead", 90000, 19, None, "no answer within 5 s"),
    ]
    if "deliveries" in route.request.url:
        names = ("event", "status", "createdAt", "attempts", "lastStatus", "lastError", "nextAttemptAt")
        rows = [
            (event, state, ago(age), *more, ago(-20) if state == "pending" else None)
            for event, state, age, *more in told
        ]
        route.fulfill(json={"deliveries": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        names = ("url", "events", "waiting", "unread", "dropped", "id", "createdBy", "createdAt")
        rows = [(f"https://{place}", *more, place[:4], "maria", ago(8_000_000)) for place, *more in hooks]
        route.fulfill(json={"webhooks": [dict(zip(names, row, strict=True), isActive=True) for row in rows]})
