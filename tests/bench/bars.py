"""What a row of the comparison must reach beside another, or in a second."""

from dataclasses import dataclass

from tests.bench import peers, plan

Key = tuple[str, int]


@dataclass(frozen=True)
class Bar:
    """A ratio between two cases and what it must be. `cpu`: CPU per request, where less is better.

    Without a reference what a case does in a second, `each` of it with a request.
    """

    name: str
    case: Key
    reference: Key | None
    must: float
    aim: float
    cpu: bool = False
    each: int = 1

    def verdict(self, ratio: float) -> str:
        """`aim` where even that is reached, else `met` or `MISSED`."""
        sign = -1 if self.cpu else 1
        if sign * ratio >= sign * self.aim:
            return "aim"
        return "met" if sign * ratio >= sign * self.must else "MISSED"


def _between(name: str, case: str, reference: str, must: float, aim: float, connections: int = 64) -> Bar:
    width = "" if connections == 64 else f", {connections} connections"
    return Bar(name + width, (case, connections), (reference, connections), must, aim)


def _to_raw(must: float, aim: float, *cases: str, connections: int = 64) -> list[Bar]:
    return [_between(f"{name} to raw ASGI", name, peers.RAW, must, aim, connections) for name in cases]


BARS = (
    *_to_raw(1.35, 1.6, *plan.GATEWAYS),
    *_to_raw(1.55, 1.75, "scope in the query", "scope in a field"),
    *_to_raw(1.6, 1.75, "secret in X-API-Key"),
    *_to_raw(0.95, 1.1, "limited token"),
    _between("two limits to one", "token with two limits", "limited token", 0.8, 0.9),
    *_to_raw(1.2, 1.5, "session, in the query", "session, in X-Token"),
    *_to_raw(0.6, 0.8, "issue, as the PHP generator", "spend, consume"),
    *_to_raw(0.9, 1.1, "spend, /validate/one-time"),
    *_to_raw(0.6, 0.9, "introspect"),
    Bar("batch of 100, tokens a second", ("batch of 100", 64), None, 300_000, 500_000, each=100),
    *_to_raw(0.2, 0.28, "create"),
    *_to_raw(0.2, 0.3, "deactivate", "revoke"),
    *_to_raw(0.04, 0.06, "list 50"),
    *_to_raw(1.3, 1.7, "unknown token"),
    *_to_raw(1.6, 1.8, plan.IN_TURN),
    *_to_raw(1.2, 1.4, plan.CROWD_IN_TURN),
    *_to_raw(1.75, 1.9, "validate"),
    *_to_raw(1.3, 1.4, "validate", connections=8),
    _between("validate to Fastify", "validate", peers.FASTIFY, 2.3, 2.6),
    _between("limited token to Fastify's", "limited token", peers.FASTIFY_LIMITED, 2, 2.5),
    _between("session to Fastify's", "session, in the query", peers.FASTIFY_SESSION, 1.5, 2),
    _between("spend to Fastify's", "spend, /validate/one-time", peers.FASTIFY_SPEND, 1.2, 1.5),
    _between("issue to Fastify's", "issue, as the PHP generator", peers.FASTIFY_ISSUE, 1, 1.2),
    _between("create to Fastify's", "create", peers.FASTIFY_CREATE, 0.6, 0.8),
    _between("limited token to ratelimit", "limited token", peers.RATELIMIT, 2, 2.5),
    _between("limited token to ratelimit", "limited token", peers.RATELIMIT, 1.2, 1.5, connections=8),
    _between("validate to FastAPI", "validate", peers.FASTAPI, 12, 17),
    _between("consume to FastAPI's GET", "spend, consume", peers.FASTAPI, 3, 4),
    _between("create to FastAPI's GET", "create", peers.FASTAPI, 3, 4),
    _between("16 shards on a node to one", plan.ONE_NODE, plan.IN_TURN, 0.95, 1.0),
    _between("cluster of three to one Redis", plan.THREE_NODES, plan.IN_TURN, 0.95, 1.0),
    Bar("CPU per validate to raw ASGI's", ("validate", 64), (peers.RAW, 64), 0.65, 0.5, cpu=True),
)
