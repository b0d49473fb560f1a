"""What every pod has, whatever the values."""

from importlib.metadata import version
from typing import Any

import pytest

from suti.infra.jobs.kubernetes.manifest import job_manifest
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.port import JobSpec
from tests.charts.rendering import CASES, COMPONENTS, LAUNCHERS, Rendered, render

LIGHT = {"pipeline", "experts", "apprentice"}


def _all_pods(rendered: Rendered) -> dict[str, dict[str, Any]]:
    """Specs of all pods, those of launched jobs among them, as the launcher makes them of its template."""
    pods = {name: pod["spec"] for name, pod in rendered.pods().items()}
    spec = JobSpec(name="suti-x", command=("python", "-m", "suti_experts.job"), indexes=(0,))
    for name, told in rendered.job_templates().items():
        template = JobTemplate.model_validate(told)
        job = job_manifest(spec, template, launcher=f"suti-{name}", progress_prefix="jobs/x/")
        pods[f"{name}-job"] = job["spec"]["template"]["spec"]
    return pods


@pytest.mark.parametrize("case", CASES)
def test_every_pod_keeps_to_the_restricted_level(case: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and a read-only root besides."""
    for name, pod in _all_pods(render(case)).items():
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys(), name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert not any("hostPort" in port for port in container.get("ports", [])), name
        kinds = {kind for volume in pod.get("volumes", []) for kind in volume if kind != "name"}
        allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "secret", "projected", "csi", "downwardAPI"}
        assert kinds <= allowed, name


@pytest.mark.parametrize("case", CASES)
def test_every_container_asks_for_memory_and_limits_it(case: str) -> None:
    for name, pod in _all_pods(render(case)).items():
        for container in pod["containers"]:
            assert "memory" in container["resources"]["requests"], name
            assert "memory" in container["resources"]["limits"], name


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_service_is_probed_by_grpc_health_also_behind_tls(name: str) -> None:
    container = render("external").of("Deployment")[name]["spec"]["template"]["spec"]["containers"][0]
    environment = {one["name"].split("_", 2)[2]: one.get("value") for one in container["env"]}

    assert container["startupProbe"]["grpc"] == {"port": 50052}
    assert container["livenessProbe"]["grpc"] == {"port": 50052}
    assert container["readinessProbe"]["grpc"] == {"port": 50052, "service": "model"}
    assert environment["HEALTH_LISTEN"] == "0.0.0.0:50052"
    assert environment["TLS_CERTIFICATE"] == "/etc/suti/tls/tls.crt"


@pytest.mark.parametrize("case", ["minimal", "full"])
@pytest.mark.parametrize("name", COMPONENTS)
def test_a_service_gives_up_waiting_for_bus_and_store_by_itself_before_the_kubelet_does(name: str, case: str) -> None:
    (container,) = render(case).of("Deployment")[name]["spec"]["template"]["spec"]["containers"]
    patience_s = next(float(one["value"]) for one in container["env"] if one["name"].endswith("_PATIENCE_S"))
    probe = container["startupProbe"]

    assert 0 < patience_s <= 0.9 * probe["periodSeconds"] * probe["failureThreshold"]


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_service_drains_before_it_is_killed(name: str) -> None:
    pod = render("minimal").of("Deployment")[name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    drain_s = next(float(one["value"]) for one in container["env"] if one["name"].endswith("_DRAIN_S"))
    waits_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert drain_s + waits_s < pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("name", COMPONENTS)
def test_images_carry_torch_only_where_models_are_loaded(name: str) -> None:
    image = render("minimal").of("Deployment")[name]["spec"]["template"]["spec"]["containers"][0]["image"]
    wanted = "suti-light" if name in LIGHT else "suti-grouping" if name == "clustering" else "suti-models"

    assert image == f"localhost/{wanted}:{version('suti')}"  # as `make images` names it


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("case", CASES)
def test_a_launcher_can_read_what_it_is_told_of_its_jobs(case: str, launcher: str) -> None:
    told = JobTemplate.model_validate(render(case).job_templates()[launcher])

    assert told.namespace == "trial"
    assert told.owner is not None
    assert told.owner.name == f"demo-suti-{launcher}"
    assert told.service_account_name in {f"demo-suti-{launcher}-job"}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_both_kinds_of_jobs_have_what_jobs_says_unless_their_own_block_says_otherwise(launcher: str) -> None:
    shared = ("jobs.accelerator=gpu", "jobs.resources.requests.memory=64Gi", "jobs.graceSeconds=77")
    told = JobTemplate.model_validate(render("minimal", *shared).job_templates()[launcher])
    own = (f"{launcher}.jobs.accelerator=tpu", f"{launcher}.jobs.resources.requests.memory=128Gi")
    others = JobTemplate.model_validate(render("minimal", *shared, *own).job_templates()[launcher])

    assert told.accelerator is not None
    assert told.accelerator.resource == "nvidia.com/gpu"
    assert told.resources.requests == {"cpu": "1", "memory": "64Gi"}
    assert told.grace_s == others.grace_s == 77
    assert others.accelerator is not None
    assert others.accelerator.resource == "google.com/tpu"
    assert others.resources.requests == {"cpu": "1", "memory": "128Gi"}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_jobs_may_have_a_service_account_of_their_owners(launcher: str) -> None:
    rendered = render("restricted", f"{launcher}.jobs.serviceAccountName=with-a-role")
    told = JobTemplate.model_validate(rendered.job_templates()[launcher])

    assert told.service_account_name == "with-a-role"
    assert f"{launcher}-job" not in rendered.of("ServiceAccount")
    assert f"{launcher}-job" in render("restricted").of("ServiceAccount")


def test_jobs_carry_accelerator_queue_and_wishes() -> None:
    experts = JobTemplate.model_validate(render("full").job_templates()["experts"])
    trains = JobTemplate.model_validate(render("gpu").job_templates()["apprentice"])
    tpu = JobTemplate.model_validate(render("tpu").job_templates()["experts"])

    assert experts.queue == "research"
    assert experts.scheduler_name == "volcano"
    assert experts.node_selector == {"pool": "spot"}
    assert [one["key"] for one in experts.tolerations] == ["spot", "nvidia.com/gpu"]
    assert experts.accelerator is not None
    assert experts.accelerator.resource == "nvidia.com/gpu"
    assert trains.priority_class_name == "batch-low"
    assert trains.resources.requests == {"cpu": "8", "memory": "64Gi"}
    assert tpu.accelerator is not None
    assert (tpu.accelerator.resource, tpu.accelerator.count) == ("google.com/tpu", 4)
    assert tpu.node_selector["cloud.google.com/gke-tpu-topology"] == "2x2"
