"""Values that cannot work are refused before anything is installed, with what to do."""

import pytest

from tests.charts.rendering import refusal, render


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("tls.mode=secret", "choose tls.mode=certManager, or (in a network that you trust) tls.mode=plaintext"),
        ("tls.mode=certManager", "name the cert-manager issuer"),
        ("tls.mutual=true", "set tls.mode to secret or certManager"),
        ("nats.embedded.enabled=false", "set it to nats://host:4222"),
        ("nats.url=nats://elsewhere:4222", "choose one"),
        ("nats.users=none", "must be perService"),
        ("minio.embedded.enabled=false", "set it to s3://bucket/prefix"),
        ("store.url=s3://elsewhere", "choose one"),
        ("bootstrap.enabled=false", "needs bootstrap.enabled"),
        ("generation.accelerator=npu", "name one of cpu, gpu, tpu, or add it"),
        ("experts.jobs.accelerator=npu", "name one of cpu, gpu, tpu, or add it"),
        ("store.endpoint=http://minio:9000", "use https://, or allow it"),
        ("jobs.queueName=research", "set jobs.podsAtOnce to what the quota holds"),
        ("experts.jobs.queueName=research", "set jobs.podsAtOnce to what the quota holds"),
        ("experts.settings.JOB_DEADLINE_S=3600", "needs jobs.podsAtOnce"),
        ("defaults.strategy.maxSurge=0", "no pod can be replaced: raise one of them"),
        ("generation.strategy.maxSurge=0%", "generation.strategy: with maxUnavailable and maxSurge both 0"),
        ("generation.autoscaling.enabled=true", "set the request to 500m or more, or autoscaling.cpu to 0"),
        ("defaults.terminationGracePeriodSeconds=15", "more than ten seconds above"),
        (
            "generation.preStopSeconds=60",
            "generation.terminationGracePeriodSeconds (40) must be more than ten seconds above",
        ),
        ("experts.terminationGracePeriodSeconds=15", "more than ten seconds above its preStopSeconds (5)"),
    ],
)
def test_a_contradiction_is_refused_with_the_remedy(settings: str, says: str) -> None:
    assert says in refusal("minimal", settings)


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("store.endpoint=https://minio:9000", "store.port=443: set it to 9000"),
        ("store.endpoint=https://minio:9000/path", "store.port=443: set it to 9000"),
        ("nats.url=tls://suti:secret@nats:4333", "nats.port=4222: set it to 4333"),
        (r"nats.url=tls://a:4222\,tls://b:4333", "nats.port=4222: set it to 4333"),
        ("telemetry.otlpEndpoint=http://collector:55680", "telemetry.otlpPort=4317: set it to 55680"),
        ("telemetry.otlpEndpoint=https://collector", "telemetry.otlpPort=4317: set it to 443"),
    ],
)
def test_a_url_that_leads_where_policies_do_not_is_refused_with_the_port_to_set(url: str, port: str) -> None:
    value, _, number = port.partition(": set it to ")

    assert f"the network policies allow {port}" in refusal("external", url)
    render("external", url, f"{value.partition('=')[0]}={number}")
    render("external", url, "networkPolicy.enabled=false")


def test_the_port_that_http_goes_without_saying_is_refused_as_well() -> None:
    settings = ("store.endpoint=http://minio", "store.allowHttp=true")

    assert "store.port=443: set it to 80" in refusal("external", *settings)


@pytest.mark.parametrize(
    "fits",
    [
        ("store.endpoint=",),
        ("store.endpoint=https://[fd00::1]",),
        ("nats.url=nats://nats",),
        ("store.endpoint=https://minio.tenant.svc", "store.port=9000"),  # a Service that hands on to 9000
    ],
)
def test_a_url_that_leads_where_policies_do_is_taken(fits: tuple[str, ...]) -> None:
    assert render("external", *fits)


def test_an_autoscaler_that_goes_by_cpu_wants_a_request_of_about_what_a_pod_at_work_takes() -> None:
    on, request = "generation.autoscaling.enabled=true", "generation.resources.requests.cpu"

    for cpu in ("499m", "0.25"):
        assert f"which is {cpu}" in refusal("minimal", on, f"{request}={cpu}")
    for cpu in ("500m", "1.5", "2"):
        assert "generation" in render("minimal", on, f"{request}={cpu}").of("HorizontalPodAutoscaler")
    assert "generation" in render("minimal", on, "generation.autoscaling.cpu=0").of("HorizontalPodAutoscaler")


def test_a_chart_that_is_only_rendered_can_demand_every_secret() -> None:
    settings = ["generateCredentials=false"]
    for missing in ("auth", "nats", "store", "minio.embedded"):
        answer = refusal("minimal", *settings)
        assert f"nobody gives {missing}.existingSecret" in answer
        settings.append(f"{missing}.existingSecret=mine-{missing.replace('.', '-')}")

    assert render("minimal", *settings).of("Secret") == {}
    assert len(render("minimal").of("Secret")) == 4


def test_credentials_that_nobody_gives_are_asked_for() -> None:
    assert "nats.existingSecret is empty: name a secret" in refusal("external", "nats.existingSecret=")
    assert "store.existingSecret is empty: name a secret" in refusal("external", "store.existingSecret=")
    assert "bootstrap.adminSecret is empty: name a secret" in refusal("external", "bootstrap.bucket=true")


@pytest.mark.parametrize(
    "typo",
    [
        "generation.replcas=2",
        "nats.embeded.enabled=true",
        "experts.jobs.acelerator=gpu",
        "defaults.pdb.enable=true",
        "generation.resources.request.cpu=1",
        "accelerators.gpu.cuont=2",
        "captioning.keda.maxReplica=2",
        "experts.settings.JOB_PARALELISM=5",
        "experts.settings.KEEP_MODELS=5",  # which other services have
        "selection.settings.STAGE=selection",
        "defaults.settings.REFLEXION=false",
        "defaults.strategy.maxSurg=2",
        "nonsense=1",
    ],
)
def test_a_typo_is_refused_by_name(typo: str) -> None:
    answer = refusal("minimal", typo)

    assert "not allowed" in answer
    assert any(f"'{step}'" in answer for step in typo.partition("=")[0].split("."))


@pytest.mark.parametrize(
    "wrong",
    [
        "generation.replicas=-1",
        "generation.replicas=two",
        "generation.resources.limits.memory=6GB",
        "experts.jobs.resources.requests.cpu=one",
        "tls.mode=none",
        "image.pullPolicy=Sometimes",
        "runAsUser=0",
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(wrong: str) -> None:
    assert "don't meet the specifications of the schema" in refusal("minimal", wrong)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("nats.enabled=true", "nats.embedded.enabled"),
        ("minio.enabled=false", "minio.embedded.enabled"),
        ("imagePullSecrets=[]", "image.pullSecrets"),
        ("replicaCount=2", "defaults.replicas"),
        ("tolerations=[]", "defaults.tolerations"),
        ("nodeSelector={}", "defaults.nodeSelector"),
        ("extraObjects=[]", "extraManifests"),
        ("store.existingSecretName=x", "store.existingSecret"),
    ],
)
def test_a_renamed_value_is_refused_with_its_new_name(old: str, new: str) -> None:
    answer = refusal("minimal", old)

    assert "is called" in answer
    assert new in answer


def test_a_kubernetes_that_is_too_old_is_refused() -> None:
    assert "chart requires kubeVersion: >=1.31" in refusal("minimal", kubernetes="1.30.9")
