"""A file of lines tried out, taken in, and exported again."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.dashboard.service import TOKENS, Service
from tests.dashboard.steps import toast


def chosen(page: Page, lines: list[str]) -> None:
    file = {"name": "tokens.ndjson", "mimeType": "application/x-ndjson", "buffer": "\n".join(lines).encode()}
    page.get_by_label("File of lines").set_input_files([file])  # type: ignore[list-item]
    page.get_by_role("button", name="Try it").click()


def test_lines_are_tried_taken_in_slices_and_exported(window: Page, service: Service) -> None:
    service.create("taken before")
    names = [f"brought {number:03}" for number in range(600)]
    lines = [
        json.dumps({"name": name, "secret": f"other-system-{name[8:]}-secret", "duration": "1month"}) for name in names
    ]
    lines[550] = json.dumps({"name": "taken before", "secret": "a-secret-of-its-own", "duration": "1month"})
    lines[3] = "not JSON"
    window.goto("/dashboard/import")
    before = service.total()
    window.get_by_role("button", name="Try it").press("Enter")
    expect(window.get_by_label("File of lines")).to_be_focused()
    chosen(window, lines)

    expect(window.get_by_role("main").get_by_text("598 tokens would be imported, 2 not.")).to_be_visible()
    rows = window.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("4")
    expect(rows.last).to_contain_text("551")
    expect(rows.last).to_contain_text("taken before")
    assert service.total() == before
    window.get_by_role("button", name="Import 598 tokens").press("Enter")
    expect(toast(window)).to_have_text("598 tokens imported, 2 not.")
    assert service.total() == before + 598
    assert service.validate("other-system-599-secret") == 200
    expect(window.get_by_label("File of lines")).to_have_value("")
    expect(window.locator("main")).to_be_focused()

    with window.expect_download() as exported:
        window.get_by_role("button", name="NDJSON", exact=True).click()
    text = Path(exported.value.path()).read_text()
    assert "brought 599" in text
    assert "other-system" not in text
    service.create("=1+1", description='"quoted", and more')
    with window.expect_download() as exported:
        window.get_by_role("button", name="CSV of the list").click()
    table = Path(exported.value.path()).read_text("utf-8")
    assert table.startswith("id,name,token,")
    assert '"\'=1+1"' in table
    assert '"""quoted"", and more"' in table
    assert table.count("\n") >= 600


def test_times_without_a_zone_and_names_that_are_taken_come_in_too(window: Page, service: Service) -> None:
    service.create("brought in twice")
    day = (datetime.now(UTC) + timedelta(days=30)).date()
    line = {"name": "brought in twice", "secret": "a-secret-of-another-zone", "expiresAt": f"{day} 12:00:00"}
    window.goto("/dashboard/import")
    chosen(window, [json.dumps(line)])
    expect(window.locator("tbody tr")).to_contain_text("this time names no zone")
    window.get_by_label("Time zone").fill("Etc/GMT-2")
    window.get_by_role("button", name="Try it").click()
    expect(window.locator("tbody tr")).to_contain_text("brought in twice")
    window.get_by_label("Number names that are taken").check()
    expect(window.locator("tbody tr")).to_have_count(0)
    window.get_by_role("button", name="Try it").click()
    window.get_by_role("button", name="Import 1 token").click()
    expect(toast(window)).to_have_text("1 token imported.")
    (found,) = service.ask("GET", f"{TOKENS}?q=brought+in+twice+")["tokens"]
    assert found["expiresAt"] == f"{day}T10:00:00Z"


def test_what_is_taken_in_is_what_was_tried_whatever_was_changed_meanwhile(window: Page) -> None:
    held: list[Route] = []
    line = {"name": "changed meanwhile", "secret": "a-secret-of-a-changed-zone", "duration": "1month"}
    window.goto("/dashboard/import")

    def hold(route: Route) -> None:
        held.append(route)

    window.route("**/tokens/import?dryRun**", hold)
    window.get_by_label("Time zone").fill("UTC")
    with window.expect_request("**/tokens/import?dryRun**"):
        chosen(window, [json.dumps(line)])
    window.get_by_label("Time zone").fill("Europe/Berlin")
    window.get_by_role("button", name="Try it").focus()
    held[0].continue_()
    with window.expect_request(lambda request: "/tokens/import" in request.url) as sent:
        window.get_by_role("button", name="Import 1 token").click()
    assert sent.value.url.endswith("/tokens/import?zone=UTC")
    expect(toast(window)).to_have_text("1 token imported.")


def test_a_slice_that_fails_tells_what_was_taken_in_before(window: Page) -> None:
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if "dryRun" in route.request.url or len(asked) == 3:
            lines = route.request.post_data.count("\n") + 1
            route.fulfill(json={"imported": lines, "byDigest": lines, "shortened": 1, "skipped": []})
        else:
            route.fulfill(status=502, json={})

    window.route("**/tokens/import**", answer)
    window.goto("/dashboard/import")
    chosen(window, ["", " "])
    expect(toast(window)).to_have_text("There is no line in this file.")
    chosen(window, ['{"name":"x"}'] * 700)
    expect(window.get_by_text("700 tokens by digest alone")).to_be_visible()
    expect(window.get_by_text("2 tokens without an end")).to_be_visible()
    window.get_by_role("button", name="Import 700 tokens").click()

    expect(window.get_by_role("alert")).to_contain_text(
        "500 tokens of 500 lines imported, then: A proxy does not reach"
    )
    assert len(asked) == 4
