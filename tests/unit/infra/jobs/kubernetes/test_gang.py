from dataclasses import replace
from typing import Any

import pytest

from suti.core.errors import InvalidArgument
from suti.infra.jobs.kubernetes.gang import gang_manifests
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.port import JobSpec

SPEC = JobSpec(name="suti-apprentice-01abc-0", command=("python", "-m", "suti_apprentice.job"), indexes=(0,))
TEMPLATE = JobTemplate.model_validate(
    {"namespace": "suti", "image": "suti:1", "accelerator": {"resource": "nvidia.com/gpu"}}
)


def gang(spec: JobSpec = SPEC) -> tuple[dict[str, Any], dict[str, Any]]:
    return gang_manifests(spec, TEMPLATE, pods=2, devices=4, launcher="suti-apprentice", progress_prefix="jobs/x/")


def test_all_pods_run_at_once_and_meet_at_the_first_one_by_name() -> None:
    service, job = gang()
    pod = job["spec"]["template"]["spec"]
    command = pod["containers"][0]["command"]

    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (2, 2)
    # <host name of completion 0>.<headless service>: the Job controller sets host names, the subdomain is ours.
    assert "--rdzv-endpoint=suti-apprentice-01abc-0-0.suti-apprentice-01abc-0:29500" in command
    assert pod["subdomain"] == service["metadata"]["name"] == "suti-apprentice-01abc-0"
    assert command[:3] == ["python", "-m", "torch.distributed.run"]
    assert command[-2:] == ["-m", "suti_apprentice.job"]
    assert {"--nnodes=2", "--nproc-per-node=4"} < set(command)


def test_the_service_has_no_address_and_shows_pods_that_are_not_ready() -> None:
    service, _ = gang()

    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": "suti-apprentice-01abc-0"}


def test_every_pod_works_on_the_same_shard_with_devices_of_its_own() -> None:
    container = gang()[1]["spec"]["template"]["spec"]["containers"][0]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}

    assert environment["SUTI_JOB_INDEX"] == "0"
    assert "SUTI_JOB_INDEXES" not in environment
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "4"}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (replace(SPEC, indexes=(0, 1)), "indexes"),
        (replace(SPEC, command=("sh", "-c", "true")), None),
        (replace(SPEC, command=("true",)), "command"),
        (replace(SPEC, name="x" * 58), "name"),
    ],
)
def test_work_that_is_none_for_a_gang_is_refused(spec: JobSpec, field: str | None) -> None:
    with pytest.raises(InvalidArgument, match=field or "command"):
        gang(spec)
