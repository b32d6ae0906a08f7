"""What the service is asked in one run, and what each right answer looks like."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from tests.bench.client import Client, unknown_token
from tests.bench.load import Case
from tests.bench.servers import Server

MANY = 1000
JSON = "application/json"
LISTED = "/api/admin/tokens?limit=50"
IN_TURN = f"validate, {MANY} tokens in turn"
CROWD = 100_000
CROWD_IN_TURN = f"validate, {CROWD:,} tokens in turn"
ONE_NODE, THREE_NODES = f"{IN_TURN}, 16 shards on a node", f"{IN_TURN}, cluster of three"
UNTRUSTED, TWO_WORKERS = ", no trusted proxy", "validate, 2 workers"
SCOPE = "orders:read"
ALLOWED = {"status": "200", "length": "0"}
# What gateways ask with the configurations of deploy/gateways/, each with a client's fields of the usual kind,
# recorded from the programs.
GATEWAYS = ("nginx", "Caddy", "HAProxy", "Traefik", "Envoy")
_HEADS = Path(__file__).with_name("gateways")


@dataclass(frozen=True)
class Material:
    """Secrets made once before the run. `many`: a file with one secret a line; `pages`: one with cursors."""

    session: str
    token: str
    token_id: str
    limited: str
    twice_limited: str
    issuer: str
    many: Path
    pages: Path
    folder: Path

    @property
    def validated(self) -> dict[str, str]:
        """The spec of a validation of `token`: the answer must name that very token."""
        right = {"status": "200", "length": "0", "header": "x-token-id", "value": self.token_id}
        return {"auth": f"Bearer {self.token}", **right}

    def in_turn(self, head: str) -> dict[str, str]:
        """The spec of a request with this head that takes the many tokens in turn and is allowed."""
        return {"head": head, "tokens": str(self.many), "again": "1", **ALLOWED}


def prepare(server: Server, folder: Path) -> Material:
    """Sign in and make the tokens that the cases use."""
    client = Client(server)
    token = client.create("bench valid")
    limits = [{"name": name, "limit": 1_000_000, "periodSeconds": 1} for name in ("burst", "day")]
    limited, twice = (client.create(f"bench limited {count}", limits=limits[:count]) for count in (1, 2))
    issuer = client.create("bench issuer", scopes=["one-time:issue", "introspect"])
    many = folder / f"many-{server.port}.txt"
    scopes = [SCOPE, "orders:write"]
    secrets_of_many = [client.create(f"bench many {number}", scopes=scopes)["token"] for number in range(MANY)]
    many.write_text("\n".join(secrets_of_many) + "\n")
    pages = folder / f"pages-{server.port}.txt"
    pages.write_text("\n".join(cursors(client)) + "\n")
    return Material(
        session=client.session,
        token=token["token"],
        token_id=token["id"],
        limited=limited["token"],
        twice_limited=twice["token"],
        issuer=issuer["token"],
        many=many,
        pages=pages,
        folder=folder,
    )


def cursors(client: Client) -> list[str]:
    """Those that lead to all pages of the list but the first and the last, behind which nothing follows."""
    found, path = [], LISTED
    while after := client.must("GET", path)["nextCursor"]:
        found.append(str(after))
        path = f"{LISTED}&cursor={after}"
    return found[:-1]


def gateway_cases(server: Server, made: Material) -> list[Case]:
    """The question as gateways put it, with as many tokens in turn: a scope, the client's address, a request id."""
    heads = {name: (_HEADS / f"{name.lower()}.txt").read_text() for name in GATEWAYS}
    return [Case(name, server, "", made.in_turn(head)) for name, head in heads.items()] + scope_cases(server, made)


def scope_cases(server: Server, made: Material, given: str = "") -> list[Case]:
    """A required scope, with as many tokens in turn; `given` is a word on the server's settings."""
    bearer = "Host: a.test\nAuthorization: Bearer @TOKEN@\n"
    query = f"GET /validate?required_scope={SCOPE} HTTP/1.1\n{bearer}"
    field = f"GET /validate HTTP/1.1\n{bearer}X-Required-Scope: {SCOPE}\n"
    return [
        Case(f"scope in the query{given}", server, "", made.in_turn(query)),
        Case(f"scope in a field{given}", server, "", made.in_turn(field)),
    ]


def validate_cases(server: Server, made: Material) -> list[Case]:
    """The gateway's question at its barest, and other ways to put it, at 64 connections."""
    bare = {"status": "401", "header": "www-authenticate", "value": 'Bearer realm="tokens"'}
    unknown = {"auth": f"Bearer {unknown_token()}", "status": "401", "contains": "invalid_token"}
    limited, twice = ({"auth": f"Bearer {secret}", **ALLOWED} for secret in (made.limited, made.twice_limited))
    key = made.in_turn("GET /validate HTTP/1.1\nHost: a.test\nX-API-Key: @TOKEN@\n")
    many = made.in_turn("GET /validate HTTP/1.1\nHost: a.test\nAuthorization: Bearer @TOKEN@\n")
    return [
        Case("secret in X-API-Key", server, "", key),
        Case("limited token", server, "/validate", limited),
        Case("token with two limits", server, "/validate", twice),
        Case("no credential", server, "/validate", bare),
        Case("unknown token", server, "/validate", unknown),
        Case(IN_TURN, server, "", many),
        Case("validate", server, "/validate", made.validated),
    ]


def crowd_case(server: Server, secrets: Path) -> Case:
    """So many tokens in turn that each comes once in several seconds: in a run that is so long that each comes again."""
    spec = {"auth": "Bearer @TOKEN@", "tokens": str(secrets), "again": "1", **ALLOWED}
    return Case(CROWD_IN_TURN, server, "/validate", spec, share=5)


def session_cases(server: Server, made: Material) -> list[Case]:
    """Is this session valid, asked in both ways."""
    valid = {"status": "200", "contains": '"valid":true'}
    head = f"GET /api/token HTTP/1.1\nHost: a.test\nX-Token: {made.session}\n"
    return [
        Case("session, in the query", server, f"/api/token?token={made.session}", valid),
        Case("session, in X-Token", server, "", {"head": head, **valid}),
    ]


def one_time_cases(server: Server, made: Material) -> list[Case]:
    """Issue and spend: each of the ways to spend has half of what the issues before it saved."""
    issued = str(made.folder / f"issued-{server.port}.txt")
    issue = {"method": "POST", "auth": f"Bearer {made.issuer}", "status": "201", "contains": '"kind":"one_time"'}
    php = {"status": "200", "contains": '"status":"success"', "save": issued}
    head = "GET /validate/one-time HTTP/1.1\nHost: a.test\nX-Token: @TOKEN@\n"
    spend = {"head": head, "tokens": issued, "share": "1/2", **ALLOWED}
    consume = {"method": "POST", "type": JSON, "body": '{"token":"@TOKEN@"}', "tokens": issued, "share": "2/2"}
    consume |= {"status": "200", "contains": '"valid":true'}
    return [
        Case("issue, as the PHP generator", server, "/api-v1/fastertokengenerator.php", php, share=4),
        Case("spend, /validate/one-time", server, "", spend, share=0.2),
        Case("spend, consume", server, "/api/one-time-tokens/consume", consume, share=0.4),
        Case("issue a one-time token", server, "/api/one-time-tokens", issue),
    ]


def change_cases(server: Server, made: Material) -> list[Case]:
    """What administrators do, at 64 connections: what is created is ended, one half in each of the ways."""
    admin = f"Bearer {made.session}"
    created = str(made.folder / f"created-{server.port}.txt")
    create = {"method": "POST", "type": JSON, "auth": admin, "body": '{"name":"bench @NAME@","duration":"7days"}'}
    create |= {"status": "201", "contains": '"token":"rtk_'}
    create |= {"save": created, "member": "id"}
    off = {"method": "PATCH", "type": JSON, "auth": admin, "body": '{"id":"@TOKEN@","isActive":false}'}
    off |= {"tokens": created, "share": "1/2", "status": "200", "contains": '"status":"inactive"'}
    head = f"DELETE /api/admin/tokens?id=@TOKEN@ HTTP/1.1\nHost: a.test\nAuthorization: {admin}\n"
    revoke = {"head": head, "tokens": created, "share": "2/2", "status": "200", "contains": "revoked successfully"}
    listing = {"auth": admin, "status": "200", "contains": '"nextCursor":"'}
    # In turn, so many that no page is remembered until its turn comes again.
    head = f"GET {LISTED}&cursor=@TOKEN@ HTTP/1.1\nHost: a.test\nAuthorization: {admin}\n"
    turning = {"head": head, "tokens": str(made.pages), "again": "1", "status": "200", "contains": '"nextCursor":"'}
    return [
        Case("create", server, "/api/admin/tokens", create, share=3),
        Case("deactivate", server, "/api/admin/tokens", off, share=0.2),
        Case("revoke", server, "", revoke, share=0.2),
        Case("list 50", server, LISTED, listing),
        Case("list 50, page by page", server, "", turning),
    ]


def check_cases(server: Server, made: Material) -> list[Case]:
    """RFC 7662's question, and a hundred tokens at once."""
    issuer = {"method": "POST", "auth": f"Bearer {made.issuer}"}
    ask = {"type": "application/x-www-form-urlencoded", "body": f"token={made.token}"}
    hundred = made.many.read_text().split()[:100]
    batch = {"type": JSON, "body": json.dumps({"tokens": hundred, "requiredScopes": [SCOPE]})}
    right = {"status": "200", "contains": f'"jti":"{made.token_id}"'}
    return [
        Case("introspect", server, "/oauth2/introspect", issuer | ask | right),
        Case(
            "batch of 100", server, "/validate/batch", issuer | batch | {"status": "200", "contains": '"active":true'}
        ),
    ]


def cases(server: Server, made: Material) -> list[Case]:
    """What gateways send comes first, the barest question last; each token has been used for as long as is told of."""
    kinds = (gateway_cases, session_cases, one_time_cases, check_cases, change_cases, validate_cases)
    return [case for kind in kinds for case in kind(server, made)]


def names() -> list[str]:
    """What all of them are called, without a server: a wrong one is to be told before anything is installed."""
    nothing = Material("", "", "", "", "", "", *[Path(os.devnull)] * 3)
    return [case.name for case in cases(Server("", 0, 0), nothing)]
