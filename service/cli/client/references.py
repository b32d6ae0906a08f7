"""Which token a command means, by its id or its name, and the path of its operations."""

import http.client
import re
from collections.abc import Iterator, Mapping
from typing import TypeVar
from urllib.parse import quote

from service.cli.client.answers import Page, Token, TokenPage
from service.cli.client.http import Client
from service.cli.failure import NotFound, WrongUsage
from service.identifiers import TOKEN_ID

TOKENS = "/api/admin/tokens"
# The token that asks.
SELF = "/api/tokens/self"
LARGEST_PAGE = 200
# A secret pasted instead of a name, or of a part of one: these go into a URL, which proxies log, and into errors.
SECRET = re.compile(r"rtk_[0-9a-f]{24}")
AnyPage = TypeVar("AnyPage", bound=Page)


def path_of(token_id: str, rest: str = "") -> str:
    return f"{TOKENS}/{quote(token_id, safe='')}{rest}"


def find(client: Client, reference: str) -> Token:
    """The token with this id or name; an id comes first. Raises Failure, and NotFound if there is none."""
    if TOKEN_ID.fullmatch(reference):
        answer = client.ask("GET", path_of(reference))
        # Sixteen hex digits may also be a name: only a 404 says that they are no id.
        if answer.status != http.client.NOT_FOUND:
            return client.members(answer, Token)
    return _find_name(client, reference)


def token_id_of(client: Client, reference: str) -> str:
    """The id alone; sends no request if it is one already."""
    return reference if TOKEN_ID.fullmatch(reference) else str(_find_name(client, reference)["id"])


def every(
    client: Client, path: str, shape: type[AnyPage], query: Mapping[str, object], *, limit: int | None = None
) -> Iterator[AnyPage]:
    """The pages of a list, until they contain `limit` items (None: all)."""
    left = limit
    cursor: dict[str, object] = {}
    while left is None or left > 0:
        size = LARGEST_PAGE if left is None else min(left, LARGEST_PAGE)
        page = client.get(path, shape, {**query, "limit": size, **cursor})
        yield page
        if page["nextCursor"] is None:
            return
        cursor = {"cursor": page["nextCursor"]}
        # A page may be shorter than requested, if a search took long.
        left = None if left is None else left - sum(len(listed) for listed in page.values() if isinstance(listed, list))


def _find_name(client: Client, name: str) -> Token:
    """The token with this name, else the last one that had it until it was revoked."""
    if SECRET.match(name):
        raise WrongUsage(f"this is a secret, not an id or a name; --query {name[-8:]} of list finds whose it is")
    if not name.strip():
        raise WrongUsage("a token's ID or name was given, but it is empty")
    revoked: Token | None = None
    # The filter matches parts of names, so each match is compared with the whole name. A revoked token gives up its
    # name, so several may have had it.
    for page in every(client, TOKENS, TokenPage, {"q": name, "status": "all"}):
        for token in page["tokens"]:
            if token["name"] == name and token["status"] != "revoked":
                return token
            if token["name"] == name:
                revoked = revoked or token
    if revoked is None:
        raise NotFound(f"no token has the id or name {name}")
    return revoked
