"""Which token a command means, an id or the name of one, and where it is asked about."""

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
# Of the token that asks.
SELF = "/api/tokens/self"
LARGEST_PAGE = 200
# Pasted in place of a name, or of a part: these go into a URL, which proxies log, and into errors.
SECRET = re.compile(r"rtk_[0-9a-f]{24}")
AnyPage = TypeVar("AnyPage", bound=Page)


def path_of(token_id: str, rest: str = "") -> str:
    return f"{TOKENS}/{quote(token_id, safe='')}{rest}"


def find(client: Client, reference: str) -> Token:
    """The token of an id or a name; what has an id's form is one if a token has it. Raises Failure, as NotFound."""
    if TOKEN_ID.fullmatch(reference):
        answer = client.ask("GET", path_of(reference))
        # Sixteen hex digits may be a name, too: 404 alone says that they are no id.
        if answer.status != http.client.NOT_FOUND:
            return client.members(answer, Token)
    return _find_name(client, reference)


def token_id_of(client: Client, reference: str) -> str:
    """The id alone; asks nothing where it is one already."""
    return reference if TOKEN_ID.fullmatch(reference) else str(_find_name(client, reference)["id"])


def every(
    client: Client, path: str, shape: type[AnyPage], query: Mapping[str, object], *, limit: int | None = None
) -> Iterator[AnyPage]:
    """The pages of a list, until `limit` of what it lists (None: all) are in them."""
    left = limit
    cursor: dict[str, object] = {}
    while left is None or left > 0:
        size = LARGEST_PAGE if left is None else min(left, LARGEST_PAGE)
        page = client.get(path, shape, {**query, "limit": size, **cursor})
        yield page
        if page["nextCursor"] is None:
            return
        cursor = {"cursor": page["nextCursor"]}
        # A page may be shorter than asked for, where a search took long.
        left = None if left is None else left - sum(len(listed) for listed in page.values() if isinstance(listed, list))


def _find_name(client: Client, name: str) -> Token:
    """The token that bears the name, else the last one that bore it until it was revoked."""
    if SECRET.match(name):
        raise WrongUsage(f"this is a secret, not an id or a name; --query {name[-8:]} of list finds whose it is")
    if not name.strip():
        raise WrongUsage("a token's ID or name was given, but it is empty")
    revoked: Token | None = None
    # The filter finds parts of names, so that all it finds is compared with the whole one. A revoked token has let go
    # of its name, so that several may have had it.
    for page in every(client, TOKENS, TokenPage, {"q": name, "status": "all"}):
        for token in page["tokens"]:
            if token["name"] == name and token["status"] != "revoked":
                return token
            if token["name"] == name:
                revoked = revoked or token
    if revoked is None:
        raise NotFound(f"no token has the id or name {name}")
    return revoked
