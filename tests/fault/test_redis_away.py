"""Redis dead, frozen, demoted, forbidding, full: unknown is neither yes nor no, and all is well again without a restart.

A client waits a second at most; the promise is an answer within 300 ms.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from service.store.driver.keys import Keys
from tests.api.redis_child import RedisChild
from tests.api.running import IMPATIENT_MS, wait_until
from tests.api.wire import Answer, Client
from tests.api.world import fresh
from tests.conftest import PASSWORD
from tests.fault.conftest import Open, Site, sites
from tests.threads import beside

CONSUME = "/api/one-time-tokens/consume"
TOKENS = "/api/admin/tokens"


class Calls:
    """One good call of each sort; each must be 503 while Redis is away."""

    def __init__(self, site: Site) -> None:
        self.client = Client(site.running.port)
        self._site = site
        self.managed, self._ending = (site.create(fresh("call")) for _ in range(2))
        self.one_time = site.one_time()

    def validate(self) -> Answer:
        return self.client.get("/validate", bearer=self.managed["token"])

    def validate_session(self) -> Answer:
        return self.client.get("/validate", bearer=self._site.admin)

    def consume(self) -> Answer:
        return self.client.post(CONSUME, {"token": self.one_time}, headers={"Idempotency-Key": "k"})

    def issue(self) -> Answer:
        return self.client.post("/api/one-time-tokens")

    def create(self) -> Answer:
        # A name of its own each time: what was unknown may have happened all the same.
        body = {"name": fresh("call"), "duration": "7days"}
        return self.client.post(TOKENS, body, bearer=self._site.admin)

    def deactivate(self) -> Answer:
        body = {"id": self._ending["id"], "isActive": False}
        return self.client.ask("PATCH", TOKENS, json_body=body, bearer=self._site.admin)

    def sign_in(self) -> Answer:
        return self.client.post("/api/token", {"username": "uma", "password": PASSWORD})

    def revoke(self) -> Answer:
        return self.client.ask("DELETE", f"{TOKENS}?id={self._ending['id']}", bearer=self._site.admin)

    def all(self) -> list[Callable[[], Answer]]:
        return [
            self.validate,
            self.validate_session,
            self.issue,
            self.create,
            self.deactivate,
            self.sign_in,
            self.consume,
            self.revoke,
        ]

    def all_are_unknown(self) -> None:
        for call in self.all():
            answer = call()
            answer.problem(503, "store_unavailable")
            assert answer.header("retry-after") == "1", call

    def none_was_lost(self, *, same_primary: bool = True) -> None:
        """What was unknown can be asked again, and works now; one-time tokens end with the primary that issued them."""
        assert known(self.validate).status == 200
        assert known(self.consume).json()["valid"] is same_primary
        assert known(self.issue).status == 201
        assert known(self.create).status == 201
        assert known(self.sign_in).status == 200
        assert known(self.revoke).status == 200
        assert known(lambda: self.client.get("/validate", bearer=self._ending["token"])).status == 401


def known(call: Callable[[], Answer]) -> Answer:
    """What it comes to once it is known: this Redis has a quarter of a second, and a busy machine takes longer."""
    said: list[Answer] = []

    def is_known() -> bool:
        said.append(call())
        return said[-1].status != 503

    wait_until(is_known, what="an answer")
    return said[-1]


def killed(redis: RedisChild) -> Iterator[None]:
    redis.kill()
    yield
    redis.start()


def frozen(redis: RedisChild) -> Iterator[None]:
    redis.freeze()
    yield
    redis.thaw()


def demoted(redis: RedisChild) -> Iterator[None]:
    """A replica of a master that is not there; it answers what it knows no more."""
    redis.client.config_set("replica-serve-stale-data", "no")
    redis.client.replicaof("127.0.0.1", "1")
    yield
    redis.client.replicaof("NO", "ONE")


def forbidding(redis: RedisChild) -> Iterator[None]:
    redis.client.acl_setuser(
        "default", enabled=True, nopass=True, reset_keys=True, keys=["nothing:*"], commands=["+@all"]
    )
    yield
    redis.client.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all"])


def locked(redis: RedisChild) -> Iterator[None]:
    """A password that the service does not know; connections that are open lose their right, too."""
    redis.client.acl_setuser("default", enabled=True, reset_passwords=True, passwords=["+secret"], keys=["*"])
    redis.client.client_kill_filter(_type="normal", skipme=True)
    yield
    with Redis(unix_socket_path=redis.socket_path, password="secret") as opener:
        opener.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all"])


def busy(redis: RedisChild) -> Iterator[None]:
    """Somebody's script that does not end."""

    def run() -> None:
        with Redis(unix_socket_path=redis.socket_path) as other, suppress(ResponseError):
            other.eval("while true do end", 0)

    def is_busy() -> bool:
        try:
            return not redis.client.ping()
        except ResponseError:
            return True

    before = redis.client.config_get("lua-time-limit")["lua-time-limit"]
    redis.client.config_set("lua-time-limit", 20)
    with beside(run):
        wait_until(is_busy, what="the script to have run for too long")
        try:
            yield
        finally:
            redis.client.script_kill()
    redis.client.config_set("lua-time-limit", before)


@pytest.fixture(scope="module")
def impatient(settings: dict[str, str]) -> Iterator[Site]:
    """For a Redis that gives no answer; `fragile` waits longer for one than any busy machine takes."""
    with sites(settings) as start:
        yield start(redis_timeout_ms=IMPATIENT_MS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "same_primary"),
    # A server that starts anew may have lost its last second, so it counts as another primary.
    [(killed, False), (frozen, True), (demoted, False), (forbidding, True), (locked, True), (busy, True)],
)
def test_every_call_is_unknown_while_redis_is_away_and_right_again_after(
    impatient: Site, fault: Callable[[RedisChild], Iterator[None]], *, same_primary: bool
) -> None:
    calls = Calls(impatient)
    for _ in fault(impatient.redis):
        calls.all_are_unknown()
        assert impatient.client.get("/livez").status == 200
        wait_until(lambda: impatient.client.get("/readyz").status == 503, what="readiness to end")
    calls.none_was_lost(same_primary=same_primary)
    wait_until(lambda: impatient.client.get("/readyz").status == 200, what="readiness to come back")


def test_a_replica_that_still_answers_is_not_believed(fragile: Site) -> None:
    calls = Calls(fragile)
    client, admin, used = fragile.client, fragile.admin, calls.managed["token"]
    readers: list[Callable[[], Answer]] = [
        lambda: client.get("/api/token", headers={"X-Token": admin}),
        lambda: client.get("/api/tokens/self", bearer=used),
        lambda: client.get(TOKENS, bearer=admin),
        lambda: client.post("/validate/batch", {"tokens": [used]}, bearer=admin),
        lambda: client.post("/oauth2/introspect", form={"token": used}, bearer=admin),
        lambda: client.post("/k8s/tokenreview", {"spec": {"token": used}}, bearer=admin),
    ]
    assert all(known(call).status == 200 for call in readers)
    fragile.redis.client.config_set("replica-serve-stale-data", "yes")
    fragile.redis.client.replicaof("127.0.0.1", "1")
    try:
        wait_until(lambda: calls.validate().status != 200, what="the replica to be noticed")
        calls.all_are_unknown()
        for call in readers:
            assert call().status == 503
        assert fragile.client.get("/readyz").status == 503
        body = fragile.client.get("/readyz").json()
        assert "role" in {check["name"] for check in body["checks"] if check["status"] == "failed"}
    finally:
        fragile.redis.client.replicaof("NO", "ONE")
    calls.none_was_lost(same_primary=False)


@contextmanager
def without(redis: RedisChild, command: str) -> Iterator[None]:
    """Somebody takes the right to a command away, and gives it back."""
    redis.client.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=[f"-{command}"])
    try:
        yield
    finally:
        redis.client.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all"])


@pytest.mark.parametrize("lost", ["zadd", "expireat", "set"])
def test_no_derived_token_outlives_its_parent_though_a_right_was_lost_while_it_was_made(
    fragile: Site, lost: str
) -> None:
    parent = fragile.create(fresh("parent"), scopes=["self:derive"])

    def derive() -> Answer:
        path, key = "/api/tokens/self/derive", {"Idempotency-Key": "derive"}
        return fragile.client.post(path, {"maxUses": 5}, bearer=parent["token"], headers=key)

    with without(fragile.redis, lost):
        derive().problem(503, "store_unavailable")
    wait_until(lambda: derive().status == 201, what="deriving to work again")
    derived = derive().json()["token"]["token"]
    assert fragile.client.get("/validate", bearer=derived).status == 200
    assert fragile.client.ask("DELETE", f"{TOKENS}?id={parent['id']}", bearer=fragile.admin).status == 200
    assert fragile.client.get("/validate", bearer=derived).status == 401


@pytest.mark.parametrize("how", ["revoked", "switched off", "narrowed", "rotated", "ended by its secret"])
def test_no_derived_token_outlives_its_parent_though_a_right_was_lost_when_that_ended(fragile: Site, how: str) -> None:
    parent = fragile.create(fresh("parent"), scopes=["self:derive", "orders:read"])
    derived = fragile.client.done("POST", "/api/tokens/self/derive", json_body={}, bearer=parent["token"])
    secret, one = derived.json()["token"]["token"], f"{TOKENS}/{parent['id']}"
    method, path, body = {
        "revoked": ("DELETE", f"{TOKENS}?id={parent['id']}", None),
        "switched off": ("PATCH", TOKENS, {"id": parent["id"], "isActive": False}),
        "narrowed": ("PATCH", TOKENS, {"id": parent["id"], "scopes": ["orders:read"]}),
        "rotated": ("POST", f"{one}/rotate", {"overlapSeconds": 60}),
        "ended by its secret": ("DELETE", "/api/tokens/self", None),
    }[how]
    bearer = parent["token"] if path.endswith("self") else fragile.admin

    def end() -> Answer:
        return fragile.client.ask(method, path, json_body=body, bearer=bearer)

    with without(fragile.redis, "zrange"):
        end().problem(503, "store_unavailable")
    wait_until(lambda: end().status in (200, 201), what="ending to work again")
    assert fragile.client.get("/validate", bearer=secret).status == 401


@pytest.mark.parametrize("lost", ["xadd", "zadd", "append", "hset"])
def test_an_import_for_which_a_right_was_lost_is_made_when_it_is_repeated(fragile: Site, lost: str) -> None:
    name, secret = f"import-{lost}", f"a-secret-of-{lost}-elsewhere"
    line = b'{"name":"%b","secret":"%b","duration":"7days"}\n' % (name.encode(), secret.encode())
    kind = {"content-type": "application/x-ndjson"}

    def take() -> Answer:
        return fragile.client.ask("POST", f"{TOKENS}/import", body=line, bearer=fragile.admin, headers=kind)

    with without(fragile.redis, lost):
        take()
        assert fragile.client.get("/validate", bearer=secret).status != 200
    wait_until(lambda: take().json().get("imported") == 1, what="importing to work again")
    assert fragile.client.get("/validate", bearer=secret).status == 200
    listed = fragile.client.get(f"{TOKENS}?q={name}", bearer=fragile.admin).json()
    assert [token["name"] for token in listed["tokens"]] == [name]


@pytest.mark.parametrize("lost", ["xadd", "zadd", "append", "hset"])
def test_a_create_for_which_a_right_was_lost_is_made_when_it_is_repeated(fragile: Site, lost: str) -> None:
    body, key = {"name": f"made-{lost}", "duration": "7days"}, {"Idempotency-Key": lost}

    def create() -> Answer:
        return fragile.client.post(TOKENS, body, bearer=fragile.admin, headers=key)

    with without(fragile.redis, lost):
        create().problem(503, "store_unavailable")
    wait_until(lambda: create().status != 503, what="creating to work again")
    secret = create().json()["token"]["token"]
    assert fragile.client.get("/validate", bearer=secret).status == 200
    found = fragile.client.get(f"{TOKENS}?q={body['name']}", bearer=fragile.admin).json()["tokens"]
    assert [token["name"] for token in found] == [body["name"]]
    asked = {"filter": {"q": body["name"]}, "dryRun": True}
    assert fragile.client.post(f"{TOKENS}/revoke", asked, bearer=fragile.admin).json()["matched"] == 1


RIGHTS = ["hset", "xadd", "del", "set", "setrange", "zadd", "zrem", "zscore"]


@pytest.mark.parametrize("lost", RIGHTS)
@pytest.mark.parametrize("change", [{"scopes": []}, {"name": "renamed"}, {"isActive": True}], ids=str)
def test_a_change_for_which_a_right_was_lost_is_made_when_it_is_repeated(
    fragile: Site, lost: str, change: dict[str, Any]
) -> None:
    token = fragile.create(fresh("changed"), scopes=["orders:read"])
    changed = {"id": token["id"], **change} | ({"name": fresh("renamed")} if "name" in change else {})
    if change == {"isActive": True}:
        fragile.client.done("PATCH", TOKENS, json_body={"id": token["id"], "isActive": False}, bearer=fragile.admin)

    def patch() -> Answer:
        return fragile.client.ask("PATCH", TOKENS, json_body=changed, bearer=fragile.admin)

    with without(fragile.redis, lost):
        patch().problem(503, "store_unavailable")
    wait_until(lambda: patch().status == 200, what="changes to work again")
    assert fragile.client.get("/validate", bearer=token["token"]).status == 200
    shown = patch().json()["token"]
    listed = fragile.client.get(f"{TOKENS}?q={token['token'][-8:]}&status=active", bearer=fragile.admin).json()
    assert [one["name"] for one in listed["tokens"]] == [shown["name"]]


@pytest.mark.parametrize("lost", RIGHTS)
def test_a_rotation_for_which_a_right_was_lost_leaves_the_token_as_it_was(fragile: Site, lost: str) -> None:
    token, other = fragile.create(fresh("rotated")), fragile.create(fresh("rotated"))

    def rotate(token_id: str) -> Answer:
        return fragile.client.post(f"{TOKENS}/{token_id}/rotate", {"overlapSeconds": 60}, bearer=fragile.admin)

    with without(fragile.redis, lost):
        rotate(token["id"]).problem(503, "store_unavailable")
        fragile.client.post(f"{TOKENS}/{other['id']}/rotate", bearer=fragile.admin).problem(503, "store_unavailable")
    wait_until(lambda: fragile.client.get("/validate", bearer=token["token"]).status == 200, what="validations")
    renewed = rotate(token["id"]).json()["token"]["token"]
    assert fragile.client.get("/validate", bearer=renewed).status == 200
    # Whoever takes the other away has its secret in the record.
    assert fragile.client.get("/validate", bearer=other["token"]).status == 200
    assert fragile.client.ask("DELETE", f"{TOKENS}?id={other['id']}", bearer=fragile.admin).status == 200
    assert fragile.client.get("/validate", bearer=other["token"]).status == 401


# Without SET nothing tells whose the secret was once it is gone: by its secret the token is not found again.
ENDS = [("revoked", lost) for lost in RIGHTS] + [("switched off", lost) for lost in RIGHTS]
ENDS += [("revoked by its secret", lost) for lost in RIGHTS if lost != "set"]


@pytest.mark.parametrize(("how", "lost"), ENDS)
def test_an_end_for_which_a_right_was_lost_is_made_whole_when_it_is_repeated(
    fragile: Site, how: str, lost: str
) -> None:
    token = fragile.create(fresh("ended"))
    status = "inactive" if how == "switched off" else "revoked"

    def end() -> Answer:
        if how == "revoked by its secret":
            return fragile.client.post("/oauth2/revoke", form={"token": token["token"]})
        if how == "switched off":
            off = {"id": token["id"], "isActive": False}
            return fragile.client.ask("PATCH", TOKENS, json_body=off, bearer=fragile.admin)
        return fragile.client.ask("DELETE", f"{TOKENS}?id={token['id']}", bearer=fragile.admin)

    with without(fragile.redis, lost):
        end()
    wait_until(lambda: end().status == 200, what="ending to work again")
    assert fragile.client.get("/validate", bearer=token["token"]).status == 401
    found = fragile.client.get(f"{TOKENS}?q={token['token'][-8:]}&status={status}", bearer=fragile.admin).json()
    assert [one["id"] for one in found["tokens"]] == [token["id"]]
    keys = Keys("tokens", 0)
    lists = {name: getattr(keys, name) for name in ("on", "off", "dead", "expiry", "purge")}
    listed = {name for name, key in lists.items() if fragile.redis.client.zscore(key, token["id"]) is not None}
    assert listed == {"off", "expiry" if how == "switched off" else "purge"}


def test_a_change_of_limits_for_which_a_right_was_lost_begins_no_count_anew(fragile: Site) -> None:
    """A process that heard of the first change would take another first one for the same."""
    path = "/api/admin/subject-limits"
    body = {"subject": "acme", "limits": [{"limit": 5, "periodSeconds": 60}]}
    fragile.client.done("PUT", path, json_body=body, bearer=fragile.admin)
    count = Keys("tokens", 0).limits_changed
    assert (before := fragile.redis.client.get(count))
    with without(fragile.redis, "set"):
        removed = fragile.client.ask("DELETE", f"{path}?subject=acme", bearer=fragile.admin)
        removed.problem(503, "store_unavailable")
        assert fragile.redis.client.get(count) == before


def test_a_log_out_everywhere_for_which_a_right_was_lost_begins_no_count_anew(fragile: Site) -> None:
    """A sign-in that began before would be taken for one behind the next log-out."""
    path, body = "/api/admin/sessions/revoke", {"username": "uma"}
    fragile.client.done("POST", path, json_body=body, bearer=fragile.admin)
    (count,) = fragile.redis.client.keys("tokens:*:sg:*")
    before = fragile.redis.client.get(count)
    with without(fragile.redis, "set"):
        fragile.client.post(path, body, bearer=fragile.admin).problem(503, "store_unavailable")
        assert fragile.redis.client.get(count) == before


def test_a_full_redis_still_validates_consumes_and_revokes_but_issues_nothing(fragile: Site) -> None:
    calls, active = Calls(fragile), fragile.create("stays active")
    used = fragile.create("limited", limits=[{"limit": 1000, "periodSeconds": 60}])
    renamed, put_away = fragile.create("keeps its name"), fragile.create("to put away")
    off, lost, one_time = fragile.create("off"), fragile.create("without a record"), fragile.one_time()
    fragile.client.done("PATCH", TOKENS, json_body={"id": off["id"], "isActive": False}, bearer=fragile.admin)
    assert fragile.redis.client.delete(*fragile.redis.client.keys(f"*:m:{lost['id']}")) == 1
    fragile.redis.client.config_set("maxmemory", "1mb")
    try:
        for call in (calls.issue, calls.create):
            answer = call()
            answer.problem(503, "store_full")
            assert answer.header("retry-after") == "1"
        assert fragile.client.get("/api-v1/fastertokengenerator.php").status == 500
        assert calls.validate().status == 200
        assert calls.validate_session().status == 200
        assert fragile.client.get("/validate", bearer=used["token"]).status == 200
        assert fragile.client.get("/api/admin/tokens", bearer=fragile.admin).status == 200
        assert calls.consume().json()["valid"] is True
        assert fragile.client.get("/validate/one-time", bearer=calls.one_time).status == 401
        assert calls.deactivate().status == 200
        assert calls.revoke().status == 200
        gone = fragile.client.ask("DELETE", f"{TOKENS}?id={active['id']}", bearer=fragile.admin)
        assert gone.status == 200
        assert fragile.client.get("/validate", bearer=active["token"]).status == 401
        for secret in (off["token"], lost["token"], one_time):
            assert fragile.client.post("/oauth2/revoke", form={"token": secret}).status == 200
        # A new name takes room, so all of that change is refused; a note beside it needs none.
        both = {"id": renamed["id"], "isActive": False, "name": "another name"}
        fragile.client.ask("PATCH", TOKENS, json_body=both, bearer=fragile.admin).problem(503, "store_full")
        assert fragile.client.get("/validate", bearer=renamed["token"]).status == 200
        both = {"id": put_away["id"], "isActive": False, "description": "put away"}
        assert fragile.client.ask("PATCH", TOKENS, json_body=both, bearer=fragile.admin).status == 200
        assert fragile.client.get("/validate", bearer=put_away["token"]).status == 401
    finally:
        fragile.redis.client.config_set("maxmemory", "0")
    wait_until(lambda: calls.issue().status == 201, what="issuing to work again")
    fragile.client.ask("PATCH", TOKENS, json_body={"id": off["id"], "isActive": True}, bearer=fragile.admin)
    for token in (active, off, lost):
        assert fragile.client.get("/validate", bearer=token["token"]).status == 401
    assert fragile.client.get("/validate/one-time", bearer=one_time).status == 401


def test_a_service_that_starts_before_its_redis_waits_for_it(open_site: Open) -> None:
    redis = RedisChild()
    site = open_site(redis=redis, redis_timeout_ms=IMPATIENT_MS)
    site.running.stop()
    redis.kill()
    site.running.restart()
    assert site.client.get("/livez").status == 200
    site.client.get("/validate", bearer=site.admin).problem(503, "store_unavailable")
    redis.start()
    wait_until(lambda: site.client.get("/validate", bearer=site.admin).status == 200, what="the session to be known")


def test_a_lost_redis_is_said_in_few_lines(fragile: Site) -> None:
    before = len(fragile.running.log.splitlines())
    fragile.redis.kill()
    client = Client(fragile.running.port)
    for _ in range(300):
        assert client.get("/validate", bearer=fragile.admin).status == 503
    fragile.redis.start()
    wait_until(lambda: client.get("/validate", bearer=fragile.admin).status == 200, what="Redis to be back")
    assert len(fragile.running.log.splitlines()) - before < 20


def test_an_api_server_is_not_invited_to_ask_again_by_itself(fragile: Site) -> None:
    client, review = Client(fragile.running.port), {"spec": {"token": "x"}}
    fragile.redis.kill()
    try:
        answer = client.post("/k8s/tokenreview", review, bearer=fragile.admin)
    finally:
        fragile.redis.start()
    answer.problem(503, "store_unavailable")
    assert answer.header("retry-after") is None
    wait_until(lambda: client.get("/validate", bearer=fragile.admin).status == 200, what="Redis to be back")
