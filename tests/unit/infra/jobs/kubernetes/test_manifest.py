"""Manifests against the rules of the Job API (batch/v1 validation) and of the restricted Pod Security level."""

from dataclasses import replace
from typing import Any

import pytest

from suti.infra.jobs.kubernetes.manifest import job_manifest
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.port import JobSpec

Object = dict[str, Any]

SPEC = JobSpec(
    name="suti-experts-01abc-7",
    command=("python", "-m", "suti_experts.job"),
    indexes=(0, 1, 2),
    environment={"SUTI_RUN_ID": "01ABC", "TRACEPARENT": "00-aa-bb-01"},
    parallelism=2,
    attempts_per_index=3,
)
TEMPLATE = JobTemplate(namespace="suti", image="registry/suti-experts:1")


def manifest(spec: JobSpec = SPEC, owner: dict[str, str] | None = None, **wishes: Any) -> Object:
    template = JobTemplate.model_validate({"namespace": "suti", "image": "registry/suti-experts:1", **wishes})
    return job_manifest(spec, template, launcher="suti-experts", progress_prefix="jobs/x/", owner=owner)


def container(job: Object) -> Object:
    return job["spec"]["template"]["spec"]["containers"][0]


def environment(job: Object) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container(job)["env"]}


def test_each_index_is_a_completion_with_attempts_of_its_own() -> None:
    body = manifest()["spec"]

    assert (body["completionMode"], body["completions"], body["parallelism"]) == ("Indexed", 3, 2)
    assert body["backoffLimitPerIndex"] == 2  # two more after the first
    assert body["maxFailedIndexes"] == 3  # a failed index does not end the others
    assert body["podReplacementPolicy"] == "Failed"
    assert body["template"]["spec"]["restartPolicy"] == "Never"  # what podFailurePolicy asks for
    assert "activeDeadlineSeconds" not in body
    assert "ttlSecondsAfterFinished" not in body


def test_dollars_in_commands_and_values_reach_the_process_as_they_are() -> None:
    # Kubernetes makes `$` of `$$` and a variable's value of `$(NAME)`, in commands and values alike.
    job = manifest(replace(SPEC, command=("sh", "-c", "kill $$"), environment={"PRICE": "$(HOME)"}))

    assert container(job)["command"] == ["sh", "-c", "kill $$$$"]
    assert environment(job)["PRICE"] == "$$(HOME)"


def test_exit_codes_mean_what_the_port_says() -> None:
    rules = manifest()["spec"]["podFailurePolicy"]["rules"]

    assert [(rule["action"], rule.get("onExitCodes", {}).get("values")) for rule in rules] == [
        ("FailIndex", [65]),
        ("FailJob", [78]),
        ("Ignore", [143]),
        ("Ignore", None),
    ]
    assert rules[3]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert all(rule["onExitCodes"]["containerName"] == "job" for rule in rules[:3])


def test_the_same_work_makes_the_same_manifest() -> None:
    assert manifest() == manifest()
    assert manifest()["metadata"]["name"] == SPEC.name


def test_pods_meet_the_restricted_level_and_may_do_nothing_at_the_api_server() -> None:
    pod = manifest()["spec"]["template"]["spec"]
    security = container(manifest())["securityContext"]

    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


def test_sigterm_reaches_a_program_that_has_no_handler_yet() -> None:
    # As process 1 of a PID namespace it would not.
    assert manifest()["spec"]["template"]["spec"]["shareProcessNamespace"] is True


def test_the_process_is_told_what_the_port_promises() -> None:
    told = environment(manifest())

    assert told | {"SUTI_JOB_NAME": SPEC.name, "SUTI_RUN_ID": "01ABC", "TRACEPARENT": "00-aa-bb-01"} == told
    assert told["SUTI_PROGRESS_PREFIX"] == "jobs/x/"
    assert told["SUTI_TERMINATION_FILE"] == container(manifest())["terminationMessagePath"]
    index = next(entry for entry in container(manifest())["env"] if entry["name"] == "SUTI_JOB_INDEX")
    path = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert index["valueFrom"]["fieldRef"]["fieldPath"] == path


def test_shards_that_are_no_completion_indexes_are_told_as_a_list() -> None:
    job = manifest(replace(SPEC, indexes=(3, 4, 9)))

    assert environment(job)["SUTI_JOB_INDEXES"] == "3-4,9"
    assert "SUTI_JOB_INDEX" not in environment(job)
    assert job["spec"]["completions"] == 3


def test_names_are_told_once_and_the_work_goes_before_the_operator() -> None:
    wishes = [{"name": "SUTI_RUN_ID", "value": "other"}, {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s"}}}]
    entries = container(manifest(env=wishes))["env"]

    assert len({entry["name"] for entry in entries}) == len(entries)  # else server-side apply refuses
    assert environment(manifest(env=wishes))["SUTI_RUN_ID"] == "01ABC"
    assert wishes[1] in entries


def test_accelerators_selectors_and_tolerations_are_data() -> None:
    tolerations = [{"key": "tpu", "operator": "Exists"}]
    job = manifest(
        accelerator={"resource": "google.com/tpu", "count": 4},
        nodeSelector={"cloud.google.com/gke-tpu-topology": "2x2"},
        tolerations=tolerations,
        resources={"requests": {"cpu": "1"}, "limits": {"memory": "8Gi"}},
    )
    pod = job["spec"]["template"]["spec"]

    assert container(job)["resources"] == {
        "requests": {"cpu": "1", "google.com/tpu": "4"},
        "limits": {"memory": "8Gi", "google.com/tpu": "4"},  # the API wants extended resources to be equal in both
    }
    assert pod["nodeSelector"] == {"cloud.google.com/gke-tpu-topology": "2x2"}
    assert pod["tolerations"] == tolerations


def test_the_works_own_quantities_go_before_the_operators() -> None:
    spec = replace(SPEC, resources={"cpu": "3", "memory": "2Gi"})
    asked = container(manifest(spec, resources={"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}))["resources"]

    assert asked == {"requests": {"cpu": "3", "memory": "2Gi"}, "limits": {"cpu": "3", "memory": "2Gi"}}


def test_labels_of_jobs_are_not_their_pods_and_never_ours() -> None:
    job = manifest(
        jobLabels={"kueue.x-k8s.io/priority-class": "low", "app.kubernetes.io/part-of": "other"},
        jobAnnotations={"suti.dev/work-digest": "none", "a": "b"},
    )

    assert job["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "low"
    assert job["metadata"]["labels"]["app.kubernetes.io/part-of"] == "suti"
    assert job["metadata"]["annotations"]["a"] == "b"
    assert job["metadata"]["annotations"]["suti.dev/work-digest"] != "none"
    assert "kueue.x-k8s.io/priority-class" not in job["spec"]["template"]["metadata"]["labels"]


def test_a_queue_is_a_label_and_the_job_waits_to_be_let_in() -> None:
    job = manifest(queue="gpu-queue")

    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpu-queue"
    assert job["spec"]["suspend"] is True
    assert manifest()["spec"]["suspend"] is False


def test_the_owner_goes_and_the_job_with_it() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "suti-experts", "uid": "u"}

    assert manifest(owner=owner)["metadata"]["ownerReferences"] == [
        {**owner, "controller": False, "blockOwnerDeletion": False}
    ]
    assert "ownerReferences" not in manifest()["metadata"]


def test_a_deadline_is_whole_seconds_and_at_least_one() -> None:
    assert manifest(replace(SPEC, deadline_s=0.2))["spec"]["activeDeadlineSeconds"] == 1
    assert manifest(replace(SPEC, deadline_s=90.5))["spec"]["activeDeadlineSeconds"] == 91


@pytest.mark.parametrize(("count", "at_a_time", "failed"), [(100_000, 100_000, 100_000), (100_001, 10_000, 10_000)])
def test_above_a_hundred_thousand_completions_the_api_caps_what_may_run(
    count: int, at_a_time: int, failed: int
) -> None:
    spec = replace(SPEC, indexes=tuple(range(count)), parallelism=count)
    body = manifest(spec)["spec"]

    assert (body["parallelism"], body["maxFailedIndexes"]) == (at_a_time, failed)


def test_ten_thousand_scattered_shards_still_fit_into_an_object() -> None:
    job = manifest(replace(SPEC, indexes=tuple(range(0, 20_000, 2))))

    # Annotations may have 256 KiB in all, one environment variable 128 KiB.
    assert len(job["metadata"]["annotations"]["suti.dev/indexes"]) < 2**17
