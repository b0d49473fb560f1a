"""Every switch of the values does what it says."""

import json

import pytest

from suti.infra.jobs.kubernetes.gang import gang_manifest
from suti.infra.jobs.kubernetes.manifest import job_manifest
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.port import GangSize, JobSpec
from suti_apprentice.settings import ApprenticeSettings
from tests.charts.rendering import CASES, COMPONENTS, LAUNCHERS, Rendered, render


def _environment(rendered: Rendered, name: str) -> dict[str, str | None]:
    container = rendered.of("Deployment")[name]["spec"]["template"]["spec"]["containers"][0]
    return {one["name"].split("_", 2)[-1]: one.get("value") for one in container["env"]}


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_that_is_off_leaves_nothing(name: str) -> None:
    rendered = render("full", f"{name}.enabled=false")
    left = {
        (one["kind"], one["metadata"]["name"])
        for one in rendered
        if one["metadata"].get("labels", {}).get("app.kubernetes.io/component") == name
    }

    assert left == set()


def test_an_installation_without_generation_is_not_asked_to_generate() -> None:
    assert "test-generate" in render("minimal").of("Pod")
    assert "test-generate" not in render("minimal", "generation.enabled=false").of("Pod")


def test_an_installation_is_asked_to_draw_with_a_model_that_it_has() -> None:
    def model(rendered: Rendered) -> str | None:
        pod = rendered.of("Pod").get("test-generate")
        if pod is None:
            return None
        return next(one["value"] for one in pod["spec"]["containers"][0]["env"] if one["name"] == "MODEL")

    assert model(render("minimal")) == "warmstart"
    assert model(render("external")) == "sd15"
    assert model(render("external", "tests.model=")) is None


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_has_its_objects(name: str) -> None:
    rendered = render("minimal")

    for kind in ("Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"):
        assert name in rendered.of(kind), kind
    service, pod = rendered.of("Service")[name]["spec"], rendered.of("Deployment")[name]["spec"]["template"]
    assert service["selector"].items() <= pod["metadata"]["labels"].items()


def test_embedded_servers_are_off_unless_asked_for() -> None:
    rendered = render("external")

    assert rendered.of("StatefulSet") == {}
    assert _environment(rendered, "pipeline")["NATS_URL"].startswith("tls://nats-0.nats:4222,")  # pyright: ignore[reportOptionalMemberAccess]


def test_embedded_servers_keep_their_data_or_not_as_asked() -> None:
    full = render("full").of("StatefulSet")

    claim = full["nats"]["spec"]["volumeClaimTemplates"][0]["spec"]
    assert claim["storageClassName"] == "fast"
    assert claim["resources"]["requests"]["storage"] == "5Gi"
    assert "volumeClaimTemplates" not in full["minio"]["spec"]
    assert {"name": "data", "emptyDir": {}} in full["minio"]["spec"]["template"]["spec"]["volumes"]


def test_the_embedded_bus_writes_every_ticket_to_disk_before_it_says_yes() -> None:
    assert "sync_interval: always" in render("minimal").of("ConfigMap")["nats"]["data"]["nats.conf"]
    off = render("minimal", "nats.embedded.syncAlways=false").of("ConfigMap")["nats"]["data"]["nats.conf"]
    assert "sync_interval" not in off


def test_plaintext_is_said_to_the_services_only_when_chosen() -> None:
    assert _environment(render("minimal"), "generation")["ALLOW_PLAINTEXT"] == "true"
    assert "ALLOW_PLAINTEXT" not in _environment(render("external"), "generation")


def test_mutual_tls_asks_for_client_certificates() -> None:
    assert _environment(render("restricted"), "generation")["TLS_CLIENT_CA"] == "/etc/suti/tls/ca.crt"
    assert "TLS_CLIENT_CA" not in _environment(render("external"), "generation")


def test_a_certificate_names_every_service() -> None:
    names = render("external").of("Certificate")["tls"]["spec"]["dnsNames"]

    assert {f"demo-suti-{name}.trial.svc" for name in COMPONENTS} <= set(names)
    assert render("restricted").of("Certificate") == {}


def test_tokens_are_asked_for_unless_switched_off() -> None:
    assert "TOKENS" in _environment(render("minimal"), "pipeline")
    off = render("minimal", "auth.enabled=false")
    assert "TOKENS" not in _environment(off, "pipeline")
    assert "tokens" not in off.of("Secret")


def test_ambient_credentials_put_no_keys_into_pods() -> None:
    rendered = render("restricted")

    assert "STORE_ACCESS_KEY" not in _environment(rendered, "pipeline")
    assert rendered.job_templates()["experts"]["env"] == []
    role = rendered.of("ServiceAccount")["experts-job"]["metadata"]["annotations"]
    assert role["eks.amazonaws.com/role-arn"].endswith(":role/suti")


def test_accelerators_are_data() -> None:
    gpu = render("gpu").of("Deployment")["generation"]["spec"]["template"]["spec"]

    assert gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert gpu["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert _environment(render("gpu"), "generation")["DEVICE"] == "cuda"
    assert _environment(render("gpu"), "experts")["DEVICE"] == "cuda"
    assert _environment(render("minimal"), "generation")["DEVICE"] == "cpu"


def test_a_job_in_a_queue_asks_for_no_more_pods_at_once_than_its_quota_holds() -> None:
    assert _environment(render("gpu"), "experts")["JOB_PARALLELISM"] == "16"
    assert "JOB_PARALLELISM" not in _environment(render("gpu"), "apprentice")
    assert "JOB_PARALLELISM" not in _environment(render("minimal"), "experts")
    by_setting = render("minimal", "jobs.queueName=research", "experts.settings.JOB_PARALLELISM=8")
    assert _environment(by_setting, "experts")["JOB_PARALLELISM"] == "8"


def test_jobs_themselves_have_the_labels_and_annotations_that_queues_read() -> None:
    template = JobTemplate.model_validate(render("full").job_templates()["experts"])
    spec = JobSpec(name="wave", command=("true",), indexes=(0,))
    metadata = job_manifest(spec, template, launcher="suti-experts", progress_prefix="p")["metadata"]

    assert metadata["labels"]["kueue.x-k8s.io/priority-class"] == "low"
    assert metadata["annotations"]["kueue.x-k8s.io/job-min-parallelism"] == "4"
    # A launcher of the version before reads the same file while it is replaced, and knows no such fields.
    assert not {"jobLabels", "jobAnnotations"} & set(render("minimal").job_templates()["experts"])


@pytest.mark.parametrize(("where", "whose"), [("experts.jobs", {"experts"}), ("jobs", {"experts", "apprentice"})])
def test_jobs_may_have_a_service_account_of_somebody_elses(where: str, whose: set[str]) -> None:
    rendered = render("minimal", f"{where}.serviceAccountName=mine")
    told = {name: template["serviceAccountName"] for name, template in rendered.job_templates().items()}
    made = {name for name in LAUNCHERS if f"{name}-job" in rendered.of("ServiceAccount")}

    assert told == {name: "mine" if name in whose else f"demo-suti-{name}-job" for name in LAUNCHERS}
    assert made == set(LAUNCHERS) - whose


def test_a_gang_is_told_to_the_launcher_of_the_apprentice_alone() -> None:
    told, others = _environment(render("gang"), "apprentice"), _environment(render("gang"), "experts")

    assert (told["PODS"], told["PROCESSES"], told["SHARING"]) == ("4", "8", "fsdp2")
    assert not {"PODS", "PROCESSES", "SHARING"} & (set(others) | set(_environment(render("minimal"), "apprentice")))


@pytest.mark.parametrize(("pods", "processes"), [(2, 1), (1, 2)])
def test_a_gang_is_several_pods_or_several_processes(pods: int, processes: int) -> None:
    rendered = render("minimal", f"apprentice.gang.pods={pods}", f"apprentice.gang.processes={processes}")
    told = _environment(rendered, "apprentice")

    assert (told["PODS"], told["PROCESSES"], told["SHARING"]) == (str(pods), str(processes), "ddp")
    assert rendered.job_templates()["apprentice"]["gangService"] == "demo-suti-apprentice-gang"


def test_the_launcher_takes_its_gang_from_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _environment(render("gang"), "apprentice").items():
        monkeypatch.setenv(f"SUTI_APPRENTICE_{name}", value or "secret")

    settings = ApprenticeSettings()

    plan = settings.training_plan()
    assert plan.gang == GangSize(pods=4, processes=8)
    assert plan.environment["SUTI_APPRENTICE_SHARING"] == "fsdp2"  # the job's own settings say so too


def test_pods_of_gangs_meet_by_a_service_that_finds_them_before_they_are_ready_and_finds_no_others() -> None:
    rendered = render("gang")
    gang, told = GangSize(pods=2, processes=1), rendered.job_templates()
    template = JobTemplate.model_validate(told["apprentice"])
    spec = JobSpec("train", ("python", "-m", "program"), (0,), gang=gang)
    job = gang_manifest(spec, gang, template, launcher="suti-apprentice", progress_prefix="x/")["spec"]["template"]
    service = rendered.of("Service")["apprentice-gang"]

    assert job["spec"]["subdomain"] == service["metadata"]["name"]
    assert "--meet-at=train-0.demo-suti-apprentice-gang:29500" in job["spec"]["containers"][0]["command"]
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)
    assert service["spec"]["selector"].items() <= job["metadata"]["labels"].items()
    for other in (*(pod["metadata"]["labels"] for pod in rendered.pods().values()), told["experts"]["labels"]):
        assert not service["spec"]["selector"].items() <= other.items()


def test_a_gang_that_runs_keeps_what_it_meets_by_when_the_next_shall_be_none() -> None:
    rendered = render("minimal")

    assert "gangService" not in rendered.job_templates()["apprentice"]
    assert "apprentice-gang" in rendered.of("Service")
    assert "apprentice-gang" in rendered.of("NetworkPolicy")


def test_pods_go_where_their_component_wishes_and_are_spread_unless_it_says_otherwise() -> None:
    spot = {"key": "spot", "operator": "Exists"}
    wishes = f"generation.tolerations={json.dumps([spot])}"
    rendered = render("minimal", 'generation.nodeSelector={"disk":"fast"}', wishes)
    pods = {name: one["spec"]["template"]["spec"] for name, one in rendered.of("Deployment").items()}

    assert pods["generation"]["nodeSelector"] == {"disk": "fast"}
    assert pods["generation"]["tolerations"] == [spot]
    assert "nodeSelector" not in pods["pipeline"]
    for name in COMPONENTS:
        (spread,) = pods[name]["topologySpreadConstraints"]
        assert spread["topologyKey"] == "kubernetes.io/hostname"
        assert spread["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == name


def test_autoscalers_own_the_number_of_replicas() -> None:
    rendered = render("autoscaled")
    for name in ("captioning", "filtering", "generation"):
        assert "replicas" not in rendered.of("Deployment")[name]["spec"]
    metrics = rendered.of("HorizontalPodAutoscaler")["generation"]["spec"]["metrics"]

    assert [one["type"] for one in metrics] == ["Resource", "Pods"]
    trigger = rendered.of("ScaledObject")["captioning"]["spec"]["triggers"][0]["metadata"]
    assert (trigger["stream"], trigger["consumer"]) == ("SUTI_WORK", "suti-captioning")
    assert render("minimal").of("ScaledObject") == {}


def test_the_hpa_can_go_by_one_of_both() -> None:
    by_cpu = render("autoscaled", "generation.autoscaling.waiting=0").of("HorizontalPodAutoscaler")["generation"]

    assert [one["type"] for one in by_cpu["spec"]["metrics"]] == ["Resource"]


def test_everything_more_that_is_asked_for_is_there() -> None:
    rendered = render("full")
    deployment = rendered.of("Deployment")["generation"]
    pod = deployment["spec"]["template"]
    container = pod["spec"]["containers"][0]

    assert {"name": "HF_HUB_OFFLINE", "value": "1"} in container["env"]
    assert container["envFrom"] == [{"configMapRef": {"name": "more"}}]
    assert {"name": "more", "mountPath": "/more"} in container["volumeMounts"]
    assert {"name": "more", "emptyDir": {}} in pod["spec"]["volumes"]
    assert deployment["metadata"]["labels"]["tier"] == "backend"
    assert deployment["metadata"]["annotations"] == {"example.org/owner": "research", "example.org/a": "b"}
    assert pod["metadata"]["labels"]["pod"] == "yes"
    assert pod["metadata"]["annotations"]["example.org/pod"] == "yes"
    assert pod["spec"]["runtimeClassName"] == "nvidia"
    assert pod["spec"]["dnsPolicy"] == "ClusterFirst"
    assert pod["spec"]["priorityClassName"] == "demo-suti-service"
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry-login"}]
    assert pod["spec"]["topologySpreadConstraints"][0]["topologyKey"] == "zone"
    assert rendered.of("Service")["generation"]["metadata"]["annotations"]["example.org/service"] == "yes"
    assert rendered.of("Service")["pipeline"]["spec"]["type"] == "NodePort"
    assert "pipeline" not in rendered.of("ServiceAccount")
    assert rendered.of("Deployment")["pipeline"]["spec"]["template"]["spec"]["serviceAccountName"] == "mine"
    assert {"demo-extra", "demo-text"} <= set(rendered.of("ConfigMap"))
    assert set(rendered.of("PriorityClass")) == {"service", "job"}


def test_settings_of_a_service_become_its_environment() -> None:
    assert _environment(render("full"), "pipeline")["ACCELERATORS"] == "64"
    assert _environment(render("restricted"), "captioning")["REFLECTION"] == "false"


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_labelled_as_ours(case: str) -> None:
    for one in render(case):
        if not one["metadata"]["name"].startswith(("demo-extra", "demo-text")):
            assert one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "suti", one["metadata"]["name"]
            assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == "demo"


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_jobs_use_their_launchers_user_of_the_store(launcher: str) -> None:
    entries = render("minimal").job_templates()[launcher]["env"]

    assert [one["valueFrom"]["secretKeyRef"]["key"] for one in entries] == [
        f"{launcher}-access-key",
        f"{launcher}-secret-key",
    ]
