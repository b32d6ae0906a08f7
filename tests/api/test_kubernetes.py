"""The wire of /k8s/tokenreview: what an API server asks, and the answer it expects."""

from typing import Any

import pytest

from tests.api.wire import Answer
from tests.api.world import World
from tests.asgi import sign_in
from tests.conftest import MakeService

PATH = "/k8s/tokenreview"
V1 = "authentication.k8s.io/v1"


def review(world: World, token: str, *, version: str = V1, bearer: str | None = None, **spec: Any) -> Answer:
    body = {
        "apiVersion": version,
        "kind": "TokenReview",
        "metadata": {"creationTimestamp": None},
        "status": {"user": {}},
        "spec": {"token": token, **spec},
    }
    return world.post(PATH, body, bearer=world.admin if bearer is None else bearer)


@pytest.mark.parametrize("version", [V1, "authentication.k8s.io/v1beta1"])
def test_a_good_token_is_authenticated_and_the_version_echoed(world: World, version: str) -> None:
    token = world.create(subject="svc:a", scopes=["a"])
    answer = review(world, token["token"], version=version)
    assert (answer.status, answer.media_type) == (200, "application/json")
    assert answer.json() == {
        "apiVersion": version,
        "kind": "TokenReview",
        "status": {
            "authenticated": True,
            "user": {"username": "svc:a", "uid": token["id"], "extra": {"scopes": ["a"]}},
        },
    }


def test_no_audience_is_claimed_that_nobody_configured(world: World) -> None:
    status = review(world, world.user, audiences=["https://kubernetes.default.svc", "vault"]).json()["status"]
    assert (status["user"]["username"], "audiences" in status) == ("uma", False)


async def test_of_the_audiences_asked_for_those_configured_are_claimed(make_service: MakeService) -> None:
    service = await make_service(background=False, kubernetes_audiences="api, vault")
    admin = await sign_in(service)
    for asked, claimed in ((["vault", "other"], ["vault"]), (["vault", "api"], ["vault", "api"]), ([], None)):
        spec = {"token": admin.secret, "audiences": asked}
        status = (await admin.post(PATH, {"spec": spec})).json()["status"]
        assert (status["authenticated"], status.get("audiences")) == (True, claimed)
    spec = {"token": admin.secret, "audiences": ["other"]}
    status = (await admin.post(PATH, {"spec": spec})).json()["status"]
    assert status == {"authenticated": False, "error": "The token is for none of these audiences."}


@pytest.mark.parametrize("version", [V1, "authentication.k8s.io/v1beta1"])
def test_a_bad_token_is_200_and_not_authenticated(world: World, version: str) -> None:
    for token in ("", "x", "A" * 64, world.one_time()):
        answer = review(world, token, version=version)
        assert (answer.status, answer.json()["apiVersion"]) == (200, version)
        assert answer.json()["status"] == {"authenticated": False}


def test_a_token_that_speaks_for_nobody_logs_nobody_in(world: World) -> None:
    status = review(world, world.secret(scopes=["a"])).json()["status"]
    assert status == {"authenticated": False, "error": "The token has no subject, so there is no user to name."}


def test_another_version_is_refused(world: World) -> None:
    review(world, "x", version="authentication.k8s.io/v2").problem(400, "invalid_request")


def test_only_a_client_that_may_introspect_is_answered(world: World) -> None:
    assert review(world, "x", bearer=world.secret(scopes=["introspect"])).status == 200
    for bearer in ("", world.user, world.secret(scopes=["revoke"]), "x"):
        review(world, "x", bearer=bearer).problem(401, "invalid_client")
