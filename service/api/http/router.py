"""The router: finds the endpoints of a path, and of those the one for a method."""

import re
from collections.abc import Iterable

from starlette.types import Scope

from service.api.http.operation import Endpoint
from service.api.http.public_address import METADATA
from service.api.http.validate_paths import form_of

# A name in braces, and what may stand in its place as Starlette's templates say it.
PARAMETER = re.compile(r"{(\w+):?(\w*)}")
_CONVERTORS = {"": "[^/]+", "int": "[0-9]+", "path": ".*"}


def name_of(template: str) -> str:
    """A path's template as the metrics and the log have it."""
    return PARAMETER.sub(r"{\1}", template)


def _pattern_of(template: str) -> re.Pattern[str]:
    """What the paths of a template match, its parameters by their names."""
    # Not by the library's own, which brings WebSockets and middleware into every process.
    literal, *rest = PARAMETER.split(template)
    pattern = re.escape(literal)
    for name, convertor, literal in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        pattern += f"(?P<{name}>{_CONVERTORS[convertor]}){re.escape(literal)}"
    return re.compile(pattern)


class Path:
    """All endpoints of one path, whose template is as the metrics and the log have it."""

    def __init__(self, template: str) -> None:
        self.template = name_of(template)
        self.form = form_of(template)
        self.endpoints: dict[str, Endpoint] = {}

    def add(self, endpoint: Endpoint) -> None:
        """Take an endpoint in; that of GET answers HEAD as well, unless HEAD has one of its own."""
        method = endpoint.operation.method
        self.endpoints[method] = endpoint
        if method == "GET":
            self.endpoints.setdefault("HEAD", endpoint)

    def find(self, method: str) -> Endpoint | None:
        return self.endpoints.get(method) or self.endpoints.get("*")


class Router:
    """Paths without parameters are found in a dictionary, the rest by a pattern of each template.

    The forms of /validate are found by what a path means: they are never 404 for a slash too many.
    """

    def __init__(self, endpoints: Iterable[Endpoint], prefix: str) -> None:
        """`prefix`: the path that the service lies below; a proxy may take it off or leave it."""
        self._prefix = prefix
        self._metadata = METADATA + prefix
        paths: dict[str, Path] = {}
        for endpoint in endpoints:
            template = endpoint.operation.path
            paths.setdefault(template, Path(template)).add(endpoint)
        self._forms = {path.form: path for path in paths.values() if path.form}
        self._exact = {template: path for template, path in paths.items() if "{" not in template}
        routed = paths.keys() - self._exact.keys() - self._forms.keys()
        # Not from `routed`, which has no order: of two patterns that fit, the one declared first is to answer.
        self._patterns = [(_pattern_of(template), path) for template, path in paths.items() if template in routed]

    def find(self, scope: Scope) -> Path | None:
        """What lies at a request's path; its parameters are put into the scope."""
        # With its slash: a proxy may take /val off, and /validate does not lie below it.
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
