"""Makes a key of LiteLLM's own proxy in a PostgreSQL, and prints as JSON what its client sends.

Run by a Python that has LiteLLM: the database's URL. Its tables are those of its own migrations, its key is made and
digested by its own code; of Prisma, whose engine is downloaded at run time, a single insert is in the place.
"""

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import litellm_proxy_extras
import psycopg
from litellm.proxy import proxy_server
from litellm.proxy.management_endpoints.key_management_endpoints import generate_key_helper_fn
from litellm.proxy.utils import PrismaClient
from psycopg import sql


class Keys:
    """The table of keys, as the proxy asks Prisma about it."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    async def upsert(self, where: dict[str, str], data: dict[str, Any], include: Any) -> SimpleNamespace:
        row = data["create"]
        insert = sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier("LiteLLM_VerificationToken"),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join([sql.Placeholder()] * len(row)),
        )
        self._connection.execute(insert, list(row.values()))
        return SimpleNamespace(litellm_budget_table=None, created_at=None, updated_at=None, **where)


def main(url: str) -> None:
    """Make the tables and one key in them."""
    migrations = sorted((Path(litellm_proxy_extras.__file__).parent / "migrations").glob("*/migration.sql"))
    with psycopg.connect(url, autocommit=True) as connection:
        for migration in migrations:
            connection.execute(migration.read_text())
        client = object.__new__(PrismaClient)
        client.db = SimpleNamespace(litellm_verificationtoken=Keys(connection))
        proxy_server.prisma_client = client
        key = asyncio.run(
            generate_key_helper_fn(
                "key", duration="1d", key_alias="billing", user_id="ada", table_name="key", llm_router=None
            )
        )
    print(json.dumps({"LiteLLM": f"Authorization: Bearer {key['token']}"}))


if __name__ == "__main__":
    main(sys.argv[1])
