"""Which form of /validate a path means."""

import time

import pytest

from service.api.http.validate_paths import ENVOY, ONE_TIME, ONE_TIME_ENVOY, PLAIN, form_of


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/validate", PLAIN),
        ("//validate///", PLAIN),
        ("/validate/one-time", ONE_TIME),
        ("/validate//one-time//", ONE_TIME),
        ("/validate/envoy", ENVOY),
        ("/validate/envoy/one-time", ENVOY),
        ("/validate/envoy/\n", ENVOY),
        ("/validate/envoy/../one-time/envoy/\r\n\x00\ufffd", ENVOY),
        ("//validate//one-time//envoy//x", ONE_TIME_ENVOY),
        ("/validate/one-time/envoy", ONE_TIME_ENVOY),
        ("", None),
        ("validate", None),
        ("/validate\n", None),
        ("/validate/one-time\n", None),
        ("/validate/one-timer", None),
        ("/validate/envoys/x", None),
        ("/validate/batch", None),
        ("/validate/one-time/x", None),
        ("/a/validate", None),
        ("/Validate", None),
    ],
)
def test_a_path_means_one_form_or_none(path: str, form: str | None) -> None:
    assert form_of(path) == form


@pytest.mark.parametrize("form", [PLAIN, ENVOY, ONE_TIME, ONE_TIME_ENVOY])
def test_a_forms_own_path_means_itself(form: str) -> None:
    assert form_of(form) == form


@pytest.mark.parametrize("path", ["/" * 16_000, "/validate" + "/" * 16_000 + "x", "/validate/one-time" + "/" * 16_000])
def test_a_path_of_slashes_takes_no_longer_than_it_is_long(path: str) -> None:
    started = time.process_time()
    form_of(path)
    assert time.process_time() - started < 1
