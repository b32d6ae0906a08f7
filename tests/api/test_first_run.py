"""Before anybody has an account the page is told so, and what to do is on it."""

import httpx2
import pytest

from tests.conftest import MakeService


@pytest.mark.parametrize("has_accounts", [True, False])
async def test_a_page_that_is_signed_out_knows_whether_anybody_could_sign_in(
    make_service: MakeService, has_accounts: bool
) -> None:
    service = await (make_service() if has_accounts else make_service(accounts_file=""))
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=service.application), base_url="http://a.test"
    ) as client:
        answer = await client.get("/dashboard/session")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="tokens"')
    assert answer.json()["accounts"] is has_accounts
