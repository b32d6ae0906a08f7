"""Changes of the audit log by somebody with full access to Redis, each of which verification must find."""

from tests.chaos.conftest import Row
from tests.conftest import MakeService
from tests.tokens.audit.tampering import mutate

MUTATIONS = 2000


async def test_two_thousand_mutations_are_found(make_service: MakeService, namespace: str, row: Row) -> None:
    await mutate(make_service, namespace, MUTATIONS, seed=10_000)
    row(f"{MUTATIONS} changes of the audit log", "all found", "all found")
