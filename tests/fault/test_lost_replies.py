"""A reply that Redis sent and nobody got: the same caller asks again and loses nothing, another gains nothing."""

import pytest

from tests.fault.conftest import Linked, Site
from tests.fault.lost_replies import Spend, has_record, lose_replies

CONSUME = "/api/one-time-tokens/consume"


def by_api(site: Site) -> Spend:
    def spend(secret: str, key: str) -> bool | None:
        answer = site.client.post(CONSUME, {"token": secret}, headers={"Idempotency-Key": key})
        assert answer.status in (200, 503), answer
        return bool(answer.json()["valid"]) if answer.status == 200 else None

    return spend


def by_gateway(site: Site) -> Spend:
    def spend(secret: str, key: str) -> bool | None:
        answer = site.client.get("/validate/one-time", bearer=secret, headers={"X-Tokens-Retry-Key": key})
        assert answer.status in (200, 401, 503), answer
        return None if answer.status == 503 else answer.status == 200

    return spend


@pytest.mark.parametrize("door", [by_api, by_gateway])
@pytest.mark.parametrize("trials", [20, pytest.param(250, marks=pytest.mark.slow)])
def test_with_a_key_no_token_is_burnt_and_none_spent_twice(lossy: Linked, door: object, trials: int) -> None:
    site, proxy = lossy
    assert callable(door)
    losses = lose_replies(proxy, door(site), [site.one_time() for _ in range(trials)])
    assert (losses.burnt, losses.spent_twice, losses.swallowed) == (0, 0, trials)
    # The service asks again itself.
    assert losses.in_doubt == 0


def test_without_a_key_the_answer_is_unknown_and_not_no(lossy: Linked) -> None:
    """One reply is lost and no more: a service that asked again would hear that the token is gone."""
    site, proxy = lossy
    secret = site.one_time()
    lost = []

    def swallow_once(reply: bytes) -> bool:
        if not has_record(reply):
            return False
        lost.append(reply)
        proxy.swallows = lambda _: False
        return True

    proxy.swallows = swallow_once
    answer = site.client.post(CONSUME, {"token": secret})
    proxy.swallows = lambda _: False
    answer.problem(503, "store_unavailable")
    assert len(lost) == 1


def test_a_validation_whose_reply_is_lost_is_asked_again(lossy: Linked) -> None:
    site, proxy = lossy
    secret = site.create("asked again")["token"]
    lost = []

    def swallow_once(reply: bytes) -> bool:
        lost.append(reply)
        proxy.swallows = lambda _: False
        return True

    proxy.swallows = swallow_once
    assert site.client.get("/validate", bearer=secret).status == 200
    assert len(lost) == 1
