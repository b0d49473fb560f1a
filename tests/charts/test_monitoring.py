"""Alerts and dashboard ask for metrics that there are, and every alert has its page."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from suti.infra.bus.connection import BusRefused
from suti.infra.jobs.kubernetes.counting import jobs_by_state
from suti.infra.jobs.kubernetes.seen import Seen
from suti.infra.store import StoreRefused
from suti.infra.telemetry.outcomes import AttemptOutcome, TicketOutcome
from suti.stages.screens import PicturesScreened
from tests.charts.rendering import CHART, COMPONENTS, ROOT, render

_USED = re.compile(r"\b((?:suti|rpc|messaging)_[a-z_]+)\{([^}]*)\}")
_EXPOSED = re.compile(r"^([a-z_]+)\{([^}]*)\}", re.MULTILINE)
_MATCHER = re.compile(r"""([a-z_]+)\s*(=~|!=|=)\s*"([^"]*)\"""")
_VALUES = {
    ("suti_jobs_attempts_total", "suti_outcome"): set(AttemptOutcome),
    ("messaging_process_duration_seconds_count", "suti_outcome"): set(TicketOutcome) - {TicketOutcome.PUT_OFF},
    ("suti_jobs_at_work", "suti_state"): set(jobs_by_state(Seen())),
    ("rpc_server_call_duration_seconds_count", "rpc_response_status_code"): {code.name for code in grpc.StatusCode},
}
_FROM_THE_SCRAPE = {"namespace", "service", "pod", "job"}


def _alerts() -> dict[str, dict[str, Any]]:
    (rule,) = render("full").of("PrometheusRule").values()
    return {alert["alert"]: alert for group in rule["spec"]["groups"] for alert in group["rules"]}


def _expressions() -> list[str]:
    (dashboard,) = render("full").of("ConfigMap")["dashboard"]["data"].values()
    panels: list[dict[str, Any]] = json.loads(dashboard)["panels"]
    asked = [str(target["expr"]) for panel in panels for target in panel["targets"]]
    return asked + [str(alert["expr"]) for alert in _alerts().values()]


@pytest.fixture(scope="module")
def exposed() -> dict[str, set[str]]:
    """Names of metrics as Prometheus reads them, with the names of their labels."""
    script = Path(__file__).with_name("emit_metrics.py")
    text = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    return {name: set(re.findall(r"([a-z_]+)=", labels)) for name, labels in _EXPOSED.findall(text)}


def test_alerts_and_dashboard_ask_for_metrics_that_there_are(exposed: dict[str, set[str]]) -> None:
    used = [match for expression in _expressions() for match in _USED.findall(expression)]

    assert len(used) >= 20
    for name, labels in used:
        assert name in exposed, name
        assert set(re.findall(r"([a-z_]+)\s*[=!]", labels)) - _FROM_THE_SCRAPE <= exposed[name], name


def test_alerts_and_dashboard_ask_for_values_that_labels_have() -> None:
    """That they are counted where they happen is shown by the tests of backends and worker."""
    asked = [
        ((name, label), value)
        for expression in _expressions()
        for name, labels in _USED.findall(expression)
        for label, _, values in _MATCHER.findall(labels)
        if label not in {"namespace", "service", "rpc_method"}
        for value in values.split("|")
    ]

    assert {key for key, _ in asked} == set(_VALUES)
    assert [(key, value) for key, value in asked if value not in _VALUES[key]] == []


def test_an_alert_says_that_a_service_is_down_of_which_prometheus_never_heard() -> None:
    settings = ("monitoring.prometheusRule.enabled=true", "monitoring.serviceMonitor.enabled=true")
    (rule,) = render("autoscaled", *settings, "filtering.keda.minReplicas=1").of("PrometheusRule").values()
    expression = next(
        one["expr"] for group in rule["spec"]["groups"] for one in group["rules"] if one["alert"] == "SutiServiceDown"
    )

    missed = set(re.findall(r'absent\(up\{namespace="trial", service="demo-suti-([a-z]+)"\}\)', expression))

    assert missed == set(COMPONENTS) - {"captioning"}  # which KEDA may leave without pods
    assert "ABSENT" not in expression
    unseen = render("minimal", settings[0]).of("PrometheusRule")["alerts"]
    assert "absent(" not in json.dumps(unseen)  # nobody scrapes by a ServiceMonitor: how, is not known


def test_calls_that_store_or_bus_refuse_raise_an_alert_unless_a_screen_refuses_pictures_alike() -> None:
    def counted(*settings: str) -> bool:
        rules = render("minimal", "monitoring.prometheusRule.enabled=true", *settings).of("PrometheusRule")["alerts"]
        (group,) = rules["spec"]["groups"]
        return "PERMISSION_DENIED" in {one["alert"]: one["expr"] for one in group["rules"]}["SutiCallsFail"]

    assert {kind.grpc_code for kind in (StoreRefused, BusRefused, PicturesScreened)} == {"PERMISSION_DENIED"}
    assert counted()
    assert not counted("generation.settings.SCREEN=rules:nothing_else")


def test_what_alerts_count_upwards_from_nothing_is_shown_as_nothing_first(exposed: dict[str, set[str]]) -> None:
    """`increase` of a series that begins with 1 is 0."""
    expected = {"suti_jobs_attempts_total", "suti_dead_letters_total"}  # by expect_job_attempts, expect_tickets
    sudden = [
        name
        for alert in _alerts().values()
        for name in re.findall(r"increase\(([a-z_]+)\{", str(alert["expr"]).replace("messaging_", "~"))
    ]

    assert set(sudden) == expected
    assert expected <= set(exposed)


def test_the_hpa_goes_by_a_metric_that_there_is(exposed: dict[str, set[str]]) -> None:
    metrics = render("autoscaled").of("HorizontalPodAutoscaler")["generation"]["spec"]["metrics"]

    assert metrics[1]["pods"]["metric"]["name"] in exposed


def test_every_alert_has_a_page_that_says_what_to_do() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README"}

    assert pages == set(_alerts())
    for name, alert in _alerts().items():
        text = (ROOT / "docs" / "runbooks" / f"{name}.md").read_text()
        assert text.startswith(f"# {name}\n")
        assert "## What to do" in text
        assert alert["annotations"]["runbook_url"].endswith(f"/{name}.md")


@pytest.mark.parametrize("name", COMPONENTS)
def test_prometheus_finds_every_service(name: str) -> None:
    rendered = render("full")
    monitor, service = rendered.of("ServiceMonitor")[name], rendered.of("Service")[name]

    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert render("minimal").of("ServiceMonitor") == {}
    assert render("minimal").of("PrometheusRule") == {}


def test_every_command_of_a_runbook_says_in_which_namespace() -> None:
    for page in (ROOT / "docs" / "runbooks").glob("*.md"):
        commands = re.findall(r"`(kubectl [^`]*)`", page.read_text())
        namespaced = [one for one in commands if " node " not in one]  # nodes are in none
        assert [one for one in namespaced if "-n NAMESPACE" not in one] == [], page.name


def test_every_value_that_a_runbook_names_is_there() -> None:
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    tops = "|".join(("jobs", "image", "networkPolicy", "monitoring", *COMPONENTS))
    for page in (ROOT / "docs" / "runbooks").glob("*.md"):
        for named in re.findall(rf"`((?:{tops})\.[A-Za-z_.]+)`", page.read_text()):
            top, *steps = named.split(".")
            at = {**values["defaults"], **values[top]} if top in COMPONENTS else values[top]
            for step in steps:
                assert step in at, f"{page.name}: {named}"
                at = values["jobs"] if step == "jobs" else at[step]
