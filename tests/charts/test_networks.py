"""Who may talk to whom, worked out from the rendered policies as a network plugin does, against docs/security.md."""

from typing import Any

import pytest

from suti.infra.jobs.kubernetes.gang import gang_manifest
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.port import GangSize, JobSpec
from tests.charts.rendering import COMPONENTS, LAUNCHERS, Rendered, render, table

PORTS = (50051, 4222, 9000, 53, 443, 6443, 8222, 9464, 50052, 29500)
ELSEWHERE = {"somewhere": "else"}  # labels of a pod that is none of ours


def _pods(rendered: Rendered) -> dict[str, dict[str, str]]:
    """Labels of a pod of each kind."""
    found = {name: pod["metadata"]["labels"] for name, pod in rendered.pods().items()}
    pods = {labels["app.kubernetes.io/component"]: labels for labels in found.values()}
    pods |= {f"{name}-job": one["labels"] | one["podLabels"] for name, one in rendered.job_templates().items()}
    return pods | {"client": {"suti.dev/client": "true"}, "stranger": ELSEWHERE}


def _matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", []))


def _allows(rendered: Rendered, direction: str, labels: dict[str, str], peer: dict[str, str] | None, port: int) -> bool:
    """Whether the policies of a pod let it send to (or hear from) a peer; None: an address outside of all pods."""
    side, who = ("Egress", "to") if direction == "egress" else ("Ingress", "from")
    policies = [
        policy["spec"]
        for policy in rendered.of("NetworkPolicy").values()
        if side in policy["spec"]["policyTypes"] and _matches(policy["spec"]["podSelector"], labels)
    ]
    if not policies:
        return True
    rules = [rule for policy in policies for rule in policy.get(direction) or []]
    return any(
        ("ports" not in rule or any(one["port"] == port for one in rule["ports"]))
        and (who not in rule or any(_is_peer(one, peer) for one in rule[who]))
        for rule in rules
    )


def _is_peer(one: dict[str, Any], peer: dict[str, str] | None) -> bool:
    if "namespaceSelector" in one or "ipBlock" in one or peer is None:
        return False
    return _matches(one["podSelector"], peer)


def _matrix(rendered: Rendered) -> dict[tuple[str, str], set[int]]:
    pods = _pods(rendered)
    found: dict[tuple[str, str], set[int]] = {}
    for source, labels in pods.items():
        if source == "stranger":
            continue
        for target, others in pods.items():
            open_ports = {
                port
                for port in PORTS
                if _allows(rendered, "egress", labels, others, port)
                and _allows(rendered, "ingress", others, labels, port)
            }
            if open_ports and target not in {"client", "stranger"}:
                found[source, target] = open_ports
        if source != "client" and (
            anywhere := {port for port in PORTS if _allows(rendered, "egress", labels, None, port)}
        ):
            found[source, "anywhere"] = anywhere
    return found


def test_pods_reach_exactly_whom_the_security_page_says() -> None:
    documented: dict[tuple[str, str], set[int]] = {}
    for source, target, ports in table("Who may talk to whom"):
        told = set(PORTS) if ports == "all" else {int(port) for port in ports.split(", ")}
        documented[source, target] = documented.get((source, target), set()) | told

    assert _matrix(render("minimal")) == documented


def _peers_of_nats(rendered: Rendered, port: int) -> list[dict[str, Any]]:
    rules = rendered.of("NetworkPolicy")["nats"]["spec"]["ingress"]
    return [peer for rule in rules if any(one["port"] == port for one in rule["ports"]) for peer in rule["from"]]


def test_keda_reaches_the_port_of_the_bus_that_its_objects_ask_on_and_only_where_it_scales() -> None:
    scaled = render("autoscaled")
    (asked,) = {
        trigger["metadata"]["natsServerMonitoringEndpoint"]
        for one in scaled.of("ScaledObject").values()
        for trigger in one["spec"]["triggers"]
    }
    keda = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "autoscaling"}},
        "podSelector": {"matchLabels": {"app": "keda-operator"}},
    }

    assert asked == "demo-suti-nats.trial:8222"
    assert _peers_of_nats(scaled, 8222) == [keda]
    assert _peers_of_nats(render("minimal"), 8222) == []
    assert _peers_of_nats(render("minimal", "filtering.keda.enabled=true"), 8222) == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}}
    ]


def test_a_stranger_reaches_no_pod_of_ours() -> None:
    rendered = render("minimal")
    pods = _pods(rendered)
    pods.pop("client")
    reached = [
        (name, port)
        for name, labels in pods.items()
        for port in PORTS
        if name != "stranger" and _allows(rendered, "ingress", labels, ELSEWHERE, port)
    ]

    assert reached == []


@pytest.mark.parametrize("name", [*COMPONENTS, *(f"{one}-job" for one in LAUNCHERS), "nats", "minio", "bootstrap"])
def test_every_pod_has_a_policy_that_denies_both_ways(name: str) -> None:
    rendered = render("minimal")
    labels = _pods(rendered)[name]

    policies = [
        policy["spec"]
        for policy in rendered.of("NetworkPolicy").values()
        if _matches(policy["spec"]["podSelector"], labels)
    ]

    assert [policy["policyTypes"] for policy in policies] == [["Ingress", "Egress"]]


def test_named_peers_narrow_what_is_otherwise_anywhere() -> None:
    rendered = render("restricted")
    experts = rendered.of("NetworkPolicy")["experts"]["spec"]["egress"]
    open_rules = [rule["ports"] for rule in experts if "to" not in rule]

    assert open_rules == [[{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]]


def test_pods_of_gangs_reach_one_another_on_every_port_and_nobody_else_reaches_them() -> None:
    rendered = render("gang")
    gang, template = GangSize(pods=2, processes=1), JobTemplate.model_validate(rendered.job_templates()["apprentice"])
    spec = JobSpec("train", ("python", "-m", "program"), (0,), gang=gang)
    job = gang_manifest(spec, gang, template, launcher="suti-apprentice", progress_prefix="x/")
    pods = _pods(rendered) | {"gang": job["spec"]["template"]["metadata"]["labels"]}

    reached = {
        (source, target)
        for source, labels in pods.items()
        for target, others in pods.items()
        if "gang" in (source, target)
        and _allows(rendered, "egress", labels, others, 40123)
        and _allows(rendered, "ingress", others, labels, 40123)
    }

    # What has no policies of ours may listen for whom it likes; it cannot reach them.
    assert {pair for pair in reached if pair[1] not in ("client", "stranger")} == {("gang", "gang")}


def test_policies_can_be_left_to_somebody_else() -> None:
    assert render("minimal", "networkPolicy.enabled=false").of("NetworkPolicy") == {}
