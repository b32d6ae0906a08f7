"""Which form of /validate a path means. A gateway's configuration may add a slash, and its clients write the rest."""

import re

PLAIN = "/validate"
ENVOY = "/validate/envoy/{anything:path}"
ONE_TIME = "/validate/one-time"
ONE_TIME_ENVOY = "/validate/one-time/envoy/{anything:path}"

# A client's path may hold a line's end (%0A), at which a dot stops by itself.
_FORM = re.compile(r"/+validate(/+one-time)?(?:(/+envoy)(?:/.*)?|/*)", re.DOTALL)
FORMS = {(False, False): PLAIN, (False, True): ENVOY, (True, False): ONE_TIME, (True, True): ONE_TIME_ENVOY}


def form_of(path: str) -> str | None:
    """The form's own path, however many slashes there are and whatever stands behind `envoy`; None for another path."""
    found = _FORM.fullmatch(path)
    return FORMS[found[1] is not None, found[2] is not None] if found else None
