"""The metrics of several processes add up, whichever of them is asked."""

import asyncio
from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.api.running import wait_until
from tests.api.wire import settle
from tests.api.world import fresh
from tests.fault.conftest import Open, Site
from tests.fault.volley import Reply, get, post, volley


def counted(site: Site) -> dict[tuple[str, ...], float]:
    """Every counter of interest by name and labels."""
    text = site.client.get("/metrics").body.decode()
    return {
        (sample.name, *[f"{name}={value}" for name, value in sorted(sample.labels.items())]): sample.value
        for family in read_text(text)
        for sample in family.samples
    }


def validations(site: Site, kind: str, outcome: str) -> float:
    return counted(site).get(("tokens_validations_total", f"kind={kind}", f"outcome={outcome}"), 0)


def read_and_send(site: Site, read: Callable[[], Any], plan: list[bytes]) -> tuple[Any, list[Reply | None]]:
    """What `read` says before the requests are sent, and their replies; sent again while one of them is unknown."""
    for _ in range(20):
        settle(site.client, len(site.running.worker_pids()))
        before, replies = read(), asyncio.run(volley(site.running.port, plan, connections=40))
        if all(reply is not None and reply.status != 503 for reply in replies):
            return before, replies
    raise AssertionError("the machine is too busy for anything exact")


def test_the_sum_of_all_processes_is_what_was_sent(four: Site) -> None:
    good = four.create(fresh("counted"))["token"]
    scoped = get("/validate?required_scope=none", good)
    plan = [get("/validate", good)] * 500 + [scoped] * 100 + [get("/validate", "x")] * 300
    plan += [get("/validate", "A" * 64)] * 200 + [post("/validate", b"")] * 50
    outcomes = {
        ("managed", "active"): 500,
        ("managed", "insufficient_scope"): 100,
        ("none", "malformed"): 300,
        ("session", "unknown"): 200,
        ("none", "absent"): 50,
    }
    before, replies = read_and_send(four, lambda: {key: validations(four, *key) for key in outcomes}, plan)
    assert len({reply.process for reply in replies if reply is not None}) > 1, "only one process took part"
    for key, count in outcomes.items():
        wait_until(lambda: validations(four, *key) == before[key] + count, what=f"{count} {key}")  # noqa: B023


def test_the_time_of_every_validation_is_observed_once(four: Site) -> None:
    def observed() -> float:
        found = counted(four)
        return sum(found.get(("tokens_validation_seconds_count", f"path={way}"), 0) for way in ("fast", "ordinary"))

    plan = [get("/validate", "x")] * 100 + [get("/validate?a=1", four.admin)] * 100
    before, _ = read_and_send(four, observed, plan)
    wait_until(lambda: observed() == before + 200, what="200 observations")


def test_gauges_of_redis_are_not_added_up_over_the_processes(four: Site) -> None:
    site = four

    def agree() -> bool:
        # A token of another test may expire between the two questions.
        stats = site.client.get("/api/admin/tokens/stats", bearer=site.admin).json()
        gauges = counted(site)
        return (gauges[("tokens_sessions",)], gauges[("tokens_managed", "status=active")]) == (
            stats["sessions"],
            stats["active"],
        )

    for _ in range(10):
        wait_until(agree, what="the gauges to agree with the counts")
        found = counted(site)
        assert found[("tokens_redis_up",)] == 1
        assert [value for key, value in found.items() if key[0] == "tokens_build_info"] == [1]


def test_a_worker_that_is_gone_is_still_counted(open_site: Open) -> None:
    site = open_site(workers=2)
    asyncio.run(volley(site.running.port, [get("/validate", "x")] * 200, connections=20))
    wait_until(lambda: validations(site, "none", "malformed") == 200, what="200 validations")
    before = set(site.running.worker_pids())
    site.running.replace_worker(min(before))
    assert validations(site, "none", "malformed") == 200
