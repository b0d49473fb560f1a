"""An installation that is ready, at the restricted level, and proves itself."""

import re

from tests.charts.rendering import COMPONENTS
from tests.cluster.release.installed import NAME, Release
from tests.cluster.release.kube import Object


def test_everything_is_ready_in_a_namespace_of_the_restricted_level(release: Release) -> None:
    pods = {name: release.kube.pods(name) for name in (*COMPONENTS, "nats", "minio")}

    assert {name for name, found in pods.items() if not found} == set()
    for found in pods.values():
        for pod in found:
            ready = next(one["status"] for one in pod["status"]["conditions"] if one["type"] == "Ready")
            assert ready == "True", pod["metadata"]["name"]
    labels = release.kube.get("namespace", release.kube.namespace)[0]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_no_service_restarted_for_want_of_a_bus_that_was_not_there_yet(release: Release) -> None:
    """A fresh release makes NATS, its queue and the services all at once."""
    pods = [pod for name in COMPONENTS for pod in release.kube.pods(name)]
    restarts = {pod["metadata"]["name"]: _restarts(pod) for pod in pods}

    assert not any(restarts.values()), restarts


def _restarts(pod: Object) -> int:
    return sum(one["restartCount"] for one in pod["status"]["containerStatuses"])


def test_the_bootstrap_job_has_done_its_work(release: Release) -> None:
    (job,) = release.kube.get("jobs", "-l", "app.kubernetes.io/component=bootstrap")

    assert job["status"]["succeeded"] == 1


def test_the_notes_say_how_to_reach_services_that_there_are(release: Release) -> None:
    notes = release.kube.helm("get", "notes", NAME)
    services = {service["metadata"]["name"] for service in release.kube.get("services")}
    forwarded = set(re.findall(r"port-forward svc/(\S+)", notes))

    assert forwarded == {f"{NAME}-generation", f"{NAME}-pipeline"}
    assert forwarded <= services
    prove = f"helm -n {release.kube.namespace} test {NAME}"
    for wanted in ("suti generate", "suti run start", prove, "FOR TRIAL ONLY"):
        assert wanted in notes


def test_helm_test_registers_and_draws_a_subject_and_goes_through_bus_and_store(release: Release) -> None:
    told = release.kube.helm("test", NAME, "--timeout", "300s")

    assert told.count("Phase:          Succeeded") == 3, told
    assert "drawn: 1 picture" in told
    assert "heard:" in told
    assert "written, read and deleted:" in told
    assert release.kube.pods("probe") == []  # what was tested with is gone


def test_a_test_that_fails_says_why_and_leaves_no_pod(release: Release) -> None:
    """The same release with a model that there is not; its pods do not change."""
    release.upgrade(tests__model="no-such-model")
    try:
        told = release.kube.helm_fails("test", NAME, "--timeout", "300s")
    finally:
        release.upgrade(tests__model="warmstart")

    assert "no-such-model" in told
    assert release.kube.pods("probe") == []
