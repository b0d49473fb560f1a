from dataclasses import replace
from typing import Any

import pytest

from suti.core.errors import InvalidArgument
from suti.infra.jobs.kubernetes.errors import BadJobTemplate
from suti.infra.jobs.kubernetes.gang import gang_manifest
from suti.infra.jobs.kubernetes.names import DIGEST, work_digest
from suti.infra.jobs.kubernetes.seen import SeenPod, seen_job
from suti.infra.jobs.kubernetes.standing import job_status
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.port import GangSize, IndexStatus, JobSpec, JobState

GANG = GangSize(pods=2, processes=4)
NAME = "suti-apprentice-01abc-w7"
SPEC = JobSpec(name=NAME, command=("python", "-m", "suti_apprentice.job"), indexes=(7,), gang=GANG)
TEMPLATE = JobTemplate.model_validate(
    {"namespace": "suti", "image": "suti:1", "accelerator": {"resource": "nvidia.com/gpu"}, "gangService": "gangs"}
)


def manifest(spec: JobSpec = SPEC) -> dict[str, Any]:
    return gang_manifest(spec, GANG, TEMPLATE, launcher="suti-apprentice", progress_prefix="jobs/x/")


def status(*pods: SeenPod, **told: Any) -> IndexStatus:
    job = manifest()
    job["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    return job_status(seen_job({**job, "status": told}), {pod.position: pod for pod in pods}).indexes[7]


def pod(position: int, phase: str = "Running", *, code: int | None = None) -> SeenPod:
    return SeenPod(f"p{position}", f"u{position}", NAME, position, 1, ("", 0), phase, failures=0, exit_code=code)


def test_all_pods_run_at_once_and_meet_at_the_first_one_by_name() -> None:
    job = manifest()
    pod = job["spec"]["template"]["spec"]
    command = pod["containers"][0]["command"]

    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (2, 2)
    # <host name of completion 0>.<headless service>: the Job controller sets host names, the subdomain is ours.
    assert f"--meet-at={NAME}-0.gangs:29500" in command
    assert pod["subdomain"] == "gangs"
    assert job["spec"]["template"]["metadata"]["labels"]["suti.dev/gang"] == "true"  # by which the service finds them
    assert command[:3] == ["python", "-m", "suti.infra.jobs.gang_entry"]
    assert command[-2:] == ["--", "suti_apprentice.job"]
    assert {"--pods=2", "--processes=4"} < set(command)


def test_the_first_pod_that_is_done_is_enough_and_the_first_that_failed_as_well() -> None:
    spec = manifest()["spec"]

    assert spec["successPolicy"] == {"rules": [{"succeededCount": 1}]}
    assert spec["maxFailedIndexes"] == 0


def test_without_a_service_to_meet_by_there_is_no_gang() -> None:
    alone = TEMPLATE.model_copy(update={"gang_service": None})

    with pytest.raises(BadJobTemplate, match="gangService"):
        gang_manifest(SPEC, GANG, alone, launcher="suti-apprentice", progress_prefix="jobs/x/")


def test_processes_of_one_pod_share_more_memory_than_a_container_has_by_itself() -> None:
    alone = gang_manifest(SPEC, GangSize(2, 1), TEMPLATE, launcher="suti-apprentice", progress_prefix="jobs/x/")
    several, one = (job["spec"]["template"]["spec"] for job in (manifest(), alone))

    assert [mount["mountPath"] for mount in several["containers"][0]["volumeMounts"]] == ["/tmp", "/dev/shm"]  # noqa: S108
    assert several["volumes"][-1]["emptyDir"]["medium"] == "Memory"
    assert [mount["mountPath"] for mount in one["containers"][0]["volumeMounts"]] == ["/tmp"]  # noqa: S108


def test_every_pod_works_on_the_same_shard_with_devices_of_its_own() -> None:
    container = manifest()["spec"]["template"]["spec"]["containers"][0]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}

    assert environment["SUTI_JOB_INDEX"] == "7"
    assert "SUTI_JOB_INDEXES" not in environment
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "4"}
    assert manifest()["metadata"]["annotations"][DIGEST] == work_digest(SPEC)


def test_a_gang_is_one_index_that_runs_when_all_its_pods_do() -> None:
    assert status(pod(0)).state is JobState.PENDING
    assert status(pod(0), pod(1)).state is JobState.RUNNING
    assert status(pod(0), pod(1, "Succeeded"), completedIndexes="1").state is JobState.SUCCEEDED


def test_a_gang_fails_with_the_reason_of_the_pod_that_failed_by_itself() -> None:
    ended = [{"type": "Failed", "status": "True", "reason": "MaxFailedIndexesExceeded"}]

    failed = status(pod(0, "Failed", code=143), pod(1, "Failed", code=65), conditions=ended, failedIndexes="1")

    assert (failed.state, failed.exit_code) == (JobState.FAILED, 65)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"indexes": (0, 1)}, "indexes"),
        ({"command": ("sh", "-c", "true")}, "command"),
        ({"command": ("true",)}, "command"),
        ({"gang": GangSize(0, 1)}, "pods"),
    ],
)
def test_work_that_is_none_for_a_gang_is_refused(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument, match=field):
        replace(SPEC, **changed)


def test_a_name_too_long_for_host_names_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="name"):
        manifest(replace(SPEC, name="x" * 58))
