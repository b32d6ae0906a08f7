"""What is said and asked can be seen: on small screens, enlarged, with long names and in forced colours."""

from playwright.sync_api import expect

from tests.dashboard.conftest import Open
from tests.dashboard.service import Service
from tests.dashboard.steps import BROKEN, choose, toast

PHONE = {"width": 360, "height": 740}
# A desk of 1280 by 1024 at 400 %.
ENLARGED = {"width": 320, "height": 256}


def test_why_a_form_was_refused_is_seen_from_its_lower_end(open_page: Open, service: Service) -> None:
    page = open_page(service, viewport=PHONE)
    page.get_by_role("button", name="Create token").first.click()
    page.get_by_label("Name").fill("too much of it")
    page.get_by_text("Limits and metadata").click()
    page.get_by_label("Metadata").fill(",".join(f"key{number}={'v' * 100}" for number in range(200)))
    page.keyboard.press("Enter")

    expect(page.get_by_role("alert")).to_contain_text("16384 bytes")
    expect(page.get_by_role("alert")).to_be_in_viewport(ratio=1)


def test_what_unfolds_at_the_lower_edge_is_seen(open_page: Open, service: Service) -> None:
    page = open_page(service, viewport=PHONE)
    page.get_by_role("button", name="Create token").first.click()
    page.get_by_text("Limits and metadata").click()

    expect(page.get_by_label("Requests")).to_be_in_viewport(ratio=1)


def test_the_warning_of_an_uncopied_secret_is_seen_whole(open_page: Open, service: Service) -> None:
    page = open_page(service, viewport=PHONE)
    page.get_by_role("button", name="Create token").first.click()
    page.get_by_label("Name").fill("fits-" + "w" * 70)
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Token").wait_for()
    page.keyboard.press("Escape")

    expect(page.get_by_role("alert")).to_be_in_viewport(ratio=1)


def test_undo_beside_a_long_name_is_one_word(open_page: Open, service: Service) -> None:
    name = "undone-" + "w" * 70
    service.create(name)
    page = open_page(service, "?q=undone-", viewport=PHONE)
    choose(page, name, "Deactivate")
    expect(toast(page).get_by_role("button", name="Undo")).to_be_visible()

    assert page.evaluate(BROKEN) == []


def test_the_name_of_the_service_is_one_line_however_wide(open_page: Open, service: Service) -> None:
    page = open_page(service)
    heights = {}
    for width in range(320, 1281, 64):
        page.set_viewport_size({"width": width, "height": 700})
        box = page.get_by_role("link", name="Token Service, home").bounding_box()
        assert box
        heights[width] = box["height"]

    assert max(heights.values()) < 30, heights


def test_enlarged_four_times_the_places_and_the_fields_are_reached(open_page: Open, service: Service) -> None:
    page = open_page(service, viewport=ENLARGED)
    page.get_by_role("button", name="More", exact=True).press("Enter")
    expect(page.get_by_role("menuitem", name="Usage")).to_be_in_viewport(ratio=1)
    page.keyboard.press("End")
    expect(page.get_by_role("menuitem", name="Kill switch")).to_be_in_viewport(ratio=1)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Create token").first.click()
    page.get_by_label("Name").press("Tab")

    expect(page.get_by_label("Description")).to_be_in_viewport(ratio=1)


def test_forced_colours_show_which_place_this_is(open_page: Open, service: Service) -> None:
    page = open_page(service, forced_colors="active")
    colours = page.evaluate("""() => [getComputedStyle(document.querySelector(".top [aria-current]"), "::after"),
      getComputedStyle(document.body)].map(({ backgroundColor }) => backgroundColor)""")

    assert colours[0] != colours[1]
