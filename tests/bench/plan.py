"""Which cases one run holds, and what each right answer looks like."""

from dataclasses import dataclass
from pathlib import Path

from tests.bench.client import Client, unknown_token
from tests.bench.load import Case
from tests.bench.servers import Server

RAW = "uvicorn, constant raw ASGI"
STARLETTE_REDIS = "Starlette + redis-py pool"
STARLETTE = "Starlette, constant"
FASTAPI = "FastAPI + redis.asyncio"
FASTIFY = "Fastify + ioredis, pipelined"
MANY = 1000
JSON = "application/json"


def reference_case(name: str, server: Server) -> Case:
    """The references know one token, `good`."""
    return Case(name, server, "/validate", {"auth": "Bearer good", "status": "200", "length": "0"})


@dataclass(frozen=True)
class Material:
    """Secrets made once before the run. `many`: a file with one secret a line."""

    session: str
    token: str
    token_id: str
    limited: str
    issuer: str
    many: Path
    folder: Path

    @property
    def validated(self) -> dict[str, str]:
        """The spec of a validation of `token`: the answer must name that very token."""
        right = {"status": "200", "length": "0", "header": "x-token-id", "value": self.token_id}
        return {"auth": f"Bearer {self.token}", **right}


def prepare(server: Server, folder: Path) -> Material:
    """Sign in and make the tokens that the cases use."""
    client = Client(server)
    token = client.create("bench valid")
    limited = client.create("bench limited", rateLimit={"limit": 1_000_000, "periodSeconds": 1})
    issuer = client.create("bench issuer", scopes=["one-time:issue", "introspect"])
    many = folder / f"many-{server.port}.txt"
    secrets_of_many = [client.create(f"bench many {number}")["token"] for number in range(MANY)]
    many.write_text("\n".join(secrets_of_many) + "\n")
    return Material(
        session=client.session,
        token=token["token"],
        token_id=token["id"],
        limited=limited["token"],
        issuer=issuer["token"],
        many=many,
        folder=folder,
    )


def validate_cases(server: Server, made: Material) -> list[Case]:
    """The gateway's question in its forms, at 64 connections."""
    allowed = {"status": "200", "length": "0"}
    many = {"auth": "Bearer @TOKEN@", "tokens": str(made.many), "again": "1", **allowed}
    bare = {"status": "401", "header": "www-authenticate", "value": 'Bearer realm="tokens"'}
    unknown = {"auth": f"Bearer {unknown_token()}", "status": "401", "contains": "invalid_token"}
    limited = {"auth": f"Bearer {made.limited}", **allowed}
    session = {"status": "200", "contains": '"valid":true'}
    return [
        Case("validate", server, "/validate", made.validated),
        Case(f"validate, {MANY} tokens in turn", server, "/validate", many),
        Case("validate, no credential", server, "/validate", bare),
        Case("validate, unknown token", server, "/validate", unknown),
        Case("validate, limited token", server, "/validate", limited),
        Case("session, GET /api/token", server, f"/api/token?token={made.session}", session),
    ]


def change_cases(server: Server, made: Material) -> list[Case]:
    """What writes or lists, at 64 connections. `consume` spends what the `issue` before it saved."""
    issued, admin = str(made.folder / "issued.txt"), f"Bearer {made.session}"
    issue = {"method": "POST", "auth": f"Bearer {made.issuer}", "save": issued}
    issue |= {"status": "201", "contains": '"kind":"one_time"'}
    consume = {"method": "POST", "type": JSON, "body": '{"token":"@TOKEN@"}', "tokens": issued}
    consume |= {"status": "200", "contains": '"valid":true'}
    create = {"method": "POST", "type": JSON, "auth": admin}
    create |= {
        "body": '{"name":"bench @NAME@","duration":"7days"}',
        "status": "201",
        "contains": '"token":"rtk_',
    }
    listing = {"auth": admin, "status": "200", "contains": '"nextCursor":"'}
    return [
        Case("issue a one-time token", server, "/api/one-time-tokens", issue),
        Case("consume", server, "/api/one-time-tokens/consume", consume, share=0.5),
        Case("create", server, "/api/admin/tokens", create),
        Case("list 50", server, "/api/admin/tokens?limit=50", listing),
    ]


def introspect_case(server: Server, made: Material) -> Case | None:
    """RFC 7662's question; None where the service does not offer it."""
    if Client(server).ask("POST", "/oauth2/introspect").status == 404:
        return None
    spec = {"method": "POST", "auth": f"Bearer {made.issuer}", "type": "application/x-www-form-urlencoded"}
    spec |= {"body": f"token={made.token}", "status": "200", "contains": f'"jti":"{made.token_id}"'}
    return Case("introspect", server, "/oauth2/introspect", spec)
