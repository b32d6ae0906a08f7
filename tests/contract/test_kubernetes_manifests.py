"""The Kubernetes manifests: valid by Kubernetes' own schemas, and in step with the image and the settings."""

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.settings import SECRETS, Settings
from tests.api.running import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
MONITORING = ROOT / "deploy" / "monitoring"
MANIFESTS = sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return loaded


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = load("deployment.yaml")["spec"]["template"]["spec"]
    return spec


def test_kustomize_is_told_of_every_manifest() -> None:
    assert sorted(load("kustomization.yaml")["resources"]) == MANIFESTS


@pytest.mark.parametrize("name", MANIFESTS)
@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_a_manifest_is_valid(name: str, version: str) -> None:
    kubernetes_validate.validate(load(name), version, strict=True)


def test_a_manifest_with_a_misspelt_field_is_not() -> None:
    broken = load("service.yaml")
    broken["spec"]["porst"] = broken["spec"].pop("ports")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, "1.37", strict=True)


def test_the_environment_holds_settings_and_the_secrets_come_as_files() -> None:
    given = {entry["name"].removeprefix("TOKENS_").lower() for entry in pod()["containers"][0]["env"]}
    known = set(Settings.__struct_fields__) | {f"{name}_file" for name in SECRETS}
    assert given <= known
    assert not given & SECRETS


def test_the_user_is_that_of_the_image() -> None:
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user
    context = pod()["securityContext"]
    assert (str(context["runAsUser"]), str(context["runAsGroup"])) == user.groups()


def test_the_end_leaves_time_for_the_pause_and_the_drain() -> None:
    container = pod()["containers"][0]
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    drain = next(int(entry["value"]) for entry in container["env"] if entry["name"] == "TOKENS_DRAIN_SECONDS")
    assert pod()["terminationGracePeriodSeconds"] > pause + drain


def test_the_selectors_find_the_pods_and_the_ports_are_named() -> None:
    labels = load("deployment.yaml")["spec"]["template"]["metadata"]["labels"]
    assert load("service.yaml")["spec"]["selector"] == labels
    assert load("disruption.yaml")["spec"]["selector"]["matchLabels"] == labels
    assert load("network.yaml")["spec"]["podSelector"]["matchLabels"] == labels
    ports = {port["name"] for port in pod()["containers"][0]["ports"]}
    wanted = [port["targetPort"] for port in load("service.yaml")["spec"]["ports"]]
    wanted += [port["port"] for rule in load("network.yaml")["spec"]["ingress"] for port in rule["ports"]]
    assert set(wanted) <= ports


def test_the_operators_view_scrapes_a_port_of_the_service_and_has_the_same_alerts() -> None:
    overlay = MONITORING / "kubernetes"
    kustomization, monitor, rules = (
        yaml.safe_load((overlay / f"{name}.yaml").read_text())
        for name in ("kustomization", "servicemonitor", "prometheusrule")
    )
    assert (overlay / kustomization["resources"][0]).resolve() == FOLDER
    assert kustomization["resources"][1:] == ["servicemonitor.yaml", "prometheusrule.yaml"]
    assert rules["spec"] == yaml.safe_load((MONITORING / "alerts.yml").read_text())
    ports = {port["name"] for port in load("service.yaml")["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports
    # Each pod is scraped once: what the Service's annotations say for a Prometheus without the operator is taken away.
    removed = [step["path"].rpartition("/")[2] for step in yaml.safe_load(kustomization["patches"][0]["patch"])]
    assert [name.replace("~1", "/") for name in removed] == list(load("service.yaml")["metadata"]["annotations"])
    # Kustomize gives both, the Service and what selects it, this label.
    assert monitor["spec"]["selector"]["matchLabels"] == load("kustomization.yaml")["labels"][0]["pairs"]
