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
        "nonsense=1",
    ],
)
def test_a_typo_is_refused_by_name(typo: str) -> None:
    answer = refusal("minimal", typo)

    assert "not allowed" in answer
    assert any(f"'{step}'" in answer for step in typo.partition("=")[0].split("."))


@pytest.mark.parametrize(
    "wrong",
    ["generation.replicas=-1", "generation.replicas=two", "tls.mode=none", "image.pullPolicy=Sometimes", "runAsUser=0"],
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
