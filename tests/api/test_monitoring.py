"""Prometheus' view: the exposition passes its own checks, and the alerts ring when they should and not before."""

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from service.app import Service
from tests.api.running import ROOT, Lifespan, wait_until
from tests.api.wire import Client
from tests.asgi import Person
from tests.builders import ADMIN

FOLDER = ROOT / "deploy" / "monitoring"


def promtool(*arguments: str, folder: Path = FOLDER, text: str = "") -> subprocess.CompletedProcess[str]:
    found = shutil.which("promtool")
    assert found, "promtool is not installed: make test installs it"
    return subprocess.run(
        [found, *arguments], cwd=folder, input=text, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
def test_the_exposition_passes_promtools_check(one_process: Lifespan) -> None:
    client = Client(one_process.port)
    client.get("/validate")
    checked = promtool("check", "metrics", text=client.get("/metrics").body.decode())
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


async def test_what_pages_by_gauges_is_told_at_the_scrape(still: Service) -> None:
    """That a copy was put back, and that Redis does not say what it is set to."""
    await asyncio.gather(*[still.rules.audit.log.write("export.made", ADMIN, f"user {number}") for number in range(5)])
    await still.rules.audit.checkpoints.seal()
    still.stores.monitor.unknown = ("version", "eviction")
    told = (await Person(still).get("/metrics")).body.splitlines()
    assert {b"tokens_audit_sealed 5.0", b"tokens_checks_unknown 2.0"} <= set(told)


@pytest.mark.slow
def test_the_configuration_and_the_rules_are_valid() -> None:
    checked = promtool("check", "config", "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_prometheus_reads_every_query_of_the_dashboard(tmp_path: Path) -> None:
    panels = json.loads((FOLDER / "grafana" / "dashboard.json").read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    filled = [query.replace("$__rate_interval", "5m").replace("$job", ".+") for query in queries]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(filled)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = promtool("check", "rules", "rules.yml", folder=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_the_alerts_ring_when_they_should() -> None:
    tested = promtool("test", "rules", "alerts_test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.slow
def test_each_alert_that_never_rings_is_noticed(tmp_path: Path) -> None:
    copy = shutil.copytree(FOLDER, tmp_path / "monitoring")
    path = copy / "alerts.yml"
    rules = yaml.safe_load(path.read_text())
    for rule in rules["groups"][0]["rules"]:
        rule["expr"] = "vector(1) > 2"
    path.write_text(yaml.safe_dump(rules))
    tested = promtool("test", "rules", "alerts_test.yml", folder=copy)
    assert tested.returncode == 1
    missed = set(re.findall(r"alertname: (\w+)", tested.stdout + tested.stderr))
    assert missed == {rule["alert"] for rule in rules["groups"][0]["rules"]}


def test_the_alerts_ask_for_metrics_that_there_are(one_process: Lifespan) -> None:
    client = Client(one_process.port)
    asked = set(re.findall(r"\btokens_\w+", (FOLDER / "alerts.yml").read_text()))
    assert asked

    def missing() -> set[str]:
        exposed = re.findall(r"^# TYPE (\w+) ", client.get("/metrics").body.decode(), re.MULTILINE)
        return {re.sub("_bucket$", "", name) for name in asked} - set(exposed)

    # A second after the start at the latest: how much of the audit log is sealed is known with the first pass.
    wait_until(lambda: not missing(), what=f"all of {asked}")
