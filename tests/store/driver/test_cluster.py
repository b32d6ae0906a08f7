"""Scripts on a server in cluster mode, which refuses keys of another slot; undeclared ones are found by contract."""

import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from hashlib import sha1
from pathlib import Path

import pytest

from service.app import Service
from service.embedded.prerequisites import find_server
from service.errors import StoreUnavailable
from service.settings import Settings
from service.store.driver import scripts
from service.store.driver.keys import TAGS
from service.store.driver.pipeline import Pipeline
from service.store.driver.scripts import Script
from service.store.managed import listing_slices
from tests.builders import until
from tests.conftest import Clock
from tests.links import Recording, connector
from tests.ports import held_port
from tests.store.scenario import COVERED, live_through

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster_url() -> Iterator[str]:
    """One node that holds every slot; a cluster waits two seconds before it takes writes."""
    if find_server().release < (7, 0):
        pytest.skip("this server checks no script for the keys it touches")
    folder = Path(tempfile.mkdtemp(prefix="tk"))
    path = folder / "s"
    with subprocess.Popen(
        [
            find_server().path,
            "--port",
            "0",
            "--unixsocket",
            path,
            "--bind",
            "127.0.0.1",
            "--cluster-enabled",
            "yes",
            # Not that of every node without a port, 10000: another process of the run may have one.
            "--cluster-port",
            str(held_port()),
            "--save",
            "",
            "--dir",
            folder,
        ],
        stdout=subprocess.DEVNULL,
    ) as process:
        yield f"unix://{path}"
        process.terminate()
    shutil.rmtree(folder)


@pytest.fixture
async def link(cluster_url: str) -> AsyncIterator[Pipeline]:
    pipeline = Pipeline(connector(cluster_url), timeout_seconds=10)

    async def ready() -> bool:
        with suppress(StoreUnavailable):  # the socket is not there yet, or the slots are given out already
            await pipeline.execute("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        try:
            return bool(b"cluster_state:ok" in await pipeline.execute("CLUSTER", "INFO"))
        except StoreUnavailable:
            return False

    await until(ready)
    yield pipeline
    await pipeline.aclose()


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every script one of those whose keys the server checks, instead of letting them work by luck."""
    read = scripts._read

    def read_strict(name: str) -> tuple[str, str]:
        source = "#!lua\n" + read(name)[0]
        return source, sha1(source.encode(), usedforsecurity=False).hexdigest()

    monkeypatch.setattr(scripts, "_read", read_strict)
    # Made when its module was loaded, before this.
    monkeypatch.setattr(listing_slices, "_read_index", Script("read_index", retry=True))


@pytest.mark.usefixtures("strict")
async def test_scripts_touch_keys_of_one_slot_alone(
    make_settings: Callable[..., Settings], clock: Clock, link: Pipeline
) -> None:
    recording = Recording(link)
    service = Service(make_settings(max_lifetime_days=0), clock=clock, links=[recording] * len(TAGS))
    await live_through(service)
    await service.rules.accounts.passwords.aclose()
    sent = {args[1] for args in recording.asked if args[0] == "EVAL"}
    assert all(source.startswith("#!lua\n--[[") for source in sent)
    assert len(sent) >= len(COVERED)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("key", ["'{other}:c:x'", "'t:{qp}:c:x'"])
async def test_the_check_sees_a_script_that_touches_another_key(link: Pipeline, key: str) -> None:
    """The fault planted on purpose."""
    script = Script("count_attempt")
    script.source = f"#!lua\nreturn redis.call('GET', {key})"
    script._sha = "0" * 40
    with pytest.raises(StoreUnavailable):
        await script.run(link, (b"t:{u0}:c:x",))
    script.source = "#!lua\nreturn redis.call('GET', KEYS[1])"
    assert await script.run(link, (b"t:{u0}:c:x",)) is None


async def test_the_tags_spread_over_the_whole_cluster(link: Pipeline) -> None:
    slots = sorted([await link.execute("CLUSTER", "KEYSLOT", f"n:{{{tag}}}:on") for tag in TAGS])
    assert [slot * 16 // 16384 for slot in slots] == list(range(16))
