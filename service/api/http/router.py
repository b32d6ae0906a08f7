"""The router: finds the endpoints of a path, and among them the one for a method."""

import re
from collections.abc import Iterable

from starlette.types import Scope

from service.api.http.operation import Endpoint
from service.api.http.public_address import METADATA
from service.api.http.validate_paths import form_of

# A name in braces, with its converter, as in Starlette's templates.
PARAMETER = re.compile(r"{(\w+):?(\w*)}")
_CONVERTORS = {"": "[^/]+", "int": "[0-9]+", "path": ".*"}


def name_of(template: str) -> str:
    """A path's template as metrics and log name it."""
    return PARAMETER.sub(r"{\1}", template)


def _pattern_of(template: str) -> re.Pattern[str]:
    """A pattern for the paths of a template, with its parameters as named groups."""
    # Not Starlette's own, which loads WebSockets and middleware into every process.
    literal, *rest = PARAMETER.split(template)
    pattern = re.escape(literal)
    for name, convertor, literal in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        pattern += f"(?P<{name}>{_CONVERTORS[convertor]}){re.escape(literal)}"
    return re.compile(pattern)


class Path:
    """All endpoints of one path; `template` is the path's name in metrics and log."""

    def __init__(self, template: str) -> None:
        self.template = name_of(template)
        self.form = form_of(template)
        self.endpoints: dict[str, Endpoint] = {}

    def add(self, endpoint: Endpoint) -> None:
        """Add an endpoint. The one of GET also answers HEAD, unless HEAD has its own."""
        method = endpoint.operation.method
        self.endpoints[method] = endpoint
        if method == "GET":
            self.endpoints.setdefault("HEAD", endpoint)

    def find(self, method: str) -> Endpoint | None:
        return self.endpoints.get(method) or self.endpoints.get("*")


class Router:
    """Paths without parameters are found in a dictionary, the others by a pattern for each template.

    The forms of /validate are found by the meaning of a path: an extra slash never makes them 404.
    """

    def __init__(self, endpoints: Iterable[Endpoint], prefix: str) -> None:
        """`prefix`: the path that the service lies below; a proxy may remove it or leave it."""
        self._prefix = prefix
        self._metadata = METADATA + prefix
        paths: dict[str, Path] = {}
        for endpoint in endpoints:
            template = endpoint.operation.path
            paths.setdefault(template, Path(template)).add(endpoint)
        self._forms = {path.form: path for path in paths.values() if path.form}
        self._exact = {template: path for template, path in paths.items() if "{" not in template}
        routed = paths.keys() - self._exact.keys() - self._forms.keys()
        # Not from `routed`, which has no order: if two patterns match, the one declared first must answer.
        self._patterns = [(_pattern_of(template), path) for template, path in paths.items() if template in routed]

    def find(self, scope: Scope) -> Path | None:
        """What lies at a request's path, None for nothing. Puts the path's parameters into the scope."""
        # With its slash: a proxy may remove /val, and /validate does not lie below /val.
        if self._prefix and scope["path"].startswith(f"{self._prefix}/"):
            scope["path"] = scope["path"].removeprefix(self._prefix)
        elif scope["path"] == self._metadata:
            scope["path"] = METADATA
        exact = self._exact.get(scope["path"])
        if exact is not None:
            return exact
        form = form_of(scope["path"])
        if form is not None:
            return self._forms.get(form)
        for pattern, path in self._patterns:
            match = pattern.fullmatch(scope["path"])
            if match is not None:
                scope["path_params"] = match.groupdict()
                return path
        return None
