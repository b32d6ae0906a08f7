"""Which form of /validate a path means, and what it asks. Gateways may add slashes, and clients write the rest."""

import re

PLAIN = "/validate"
ENVOY = "/validate/envoy/{anything:path}"
ONE_TIME = "/validate/one-time"
ONE_TIME_ENVOY = "/validate/one-time/envoy/{anything:path}"

# DOTALL, because a client's path may contain a line end (%0A), which a dot does not match otherwise.
_FORM = re.compile(r"/+validate(/+one-time)?(?:(/+envoy)(?:/.*)?|/*)", re.DOTALL)
# A validation: true if it spends a one-time token, and the query that may ask for scopes.
Plan = tuple[bool, bytes]
# Validates session and managed tokens, without a query of ours.
_ASKS: Plan = (False, b"")
SPENDS: Plan = (True, b"")
_PLANS: dict[str | None, Plan] = {ENVOY: _ASKS, ONE_TIME: SPENDS, ONE_TIME_ENVOY: SPENDS}
# After this prefix comes the path that Envoy's client asked for; it is ignored.
ENVOY_PATH = b"/validate/envoy/"
# As a number, because finding a byte by its number takes a third of the time.
_FRAGMENT = ord("#")
FORMS = {(False, False): PLAIN, (False, True): ENVOY, (True, False): ONE_TIME, (True, True): ONE_TIME_ENVOY}


def form_of(path: str) -> str | None:
    """The form's own path, with any number of slashes and anything behind `envoy`; None for another path."""
    found = _FORM.fullmatch(path)
    return FORMS[found[1] is not None, found[2] is not None] if found else None


def plan_of(url: bytes) -> Plan | None:
    """The plan for a target of ours: does it spend a one-time token, and its query. None for any other target."""
    # Compared first, before any parsing: 90 ns for this path, 250 for one with a query.
    if url == b"/validate":
        return _ASKS
    path, _, query = url.partition(b"?")
    if _FRAGMENT in url:
        return None  # the ordinary route removes the fragment
    if path == b"/validate":
        return False, query
    if path.startswith(ENVOY_PATH):
        return _ASKS
    if path == b"/validate/one-time":
        return SPENDS
    if not path.lstrip(b"/").startswith(b"validate"):
        return None
    form = form_of(path.decode("latin-1"))
    return (False, query) if form == PLAIN else _PLANS.get(form)
