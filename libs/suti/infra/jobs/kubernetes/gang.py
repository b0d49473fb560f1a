"""One piece of work by several pods at once, N pods x M devices: an Indexed Job whose pods meet by name.

They do by a headless Service that is there before them, one for all gangs of a launcher (the chart's, as is the policy
by which they may talk to one another): a launcher makes Jobs and nothing else. It selects pods by the label `GANG`.
Every pod runs torchrun (`suti.infra.jobs.gang_entry`); they meet at the first one. All of them work on one and the same
shard: `SUTI_JOB_INDEX` is the shard's, `JOB_COMPLETION_INDEX` the pod's. The work is done with the first pod that says
so (its commit stands then), and fails with the first that fails for good.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from suti.core.errors import InvalidArgument
from suti.infra.jobs import environment as told
from suti.infra.jobs.kubernetes import names
from suti.infra.jobs.kubernetes.errors import BadJobTemplate
from suti.infra.jobs.kubernetes.manifest import job_manifest
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.port import GangSize, JobSpec
from suti.infra.jobs.ranges import ranges_text

_Object = dict[str, Any]

_PORT = 29500
_SHARED, _SHARED_SIZE = "suti-shared-memory", "2Gi"
_MOST_NAME = 57  # a pod's host name is the job's, a dash and the pod's number, at most 63 characters


def gang_manifest(
    spec: JobSpec,
    gang: GangSize,
    template: JobTemplate,
    *,
    launcher: str,
    progress_prefix: str,
    owner: Mapping[str, str] | None = None,
) -> _Object:
    """The Job of a gang's work.

    Args:
        spec: Work of one index; its command is a Python program, `("python", "-m", "suti_apprentice.job")`.
        gang: How many; the accelerator's count becomes the processes of each pod.
        template: As in `job_manifest`.
        launcher: As in `job_manifest`.
        progress_prefix: As in `job_manifest`.
        owner: As in `job_manifest`.

    Raises:
        InvalidArgument: a name too long.
        BadJobTemplate: it names no service to meet by.
    """
    if len(spec.name) > _MOST_NAME:
        raise InvalidArgument("name", f"{spec.name!r} is too long for pods' host names: at most {_MOST_NAME}")
    if template.gang_service is None:
        raise BadJobTemplate("several pods shall work together: name the headless service they meet by, gangService")
    accelerator = template.accelerator and template.accelerator.model_copy(update={"count": gang.processes})
    meet_at = f"{spec.name}-0.{template.gang_service}:{_PORT}"
    command = told.gang_command(spec, pods=gang.pods, processes=gang.processes, meet_at=meet_at)
    pods = replace(spec, command=command, indexes=tuple(range(gang.pods)), parallelism=gang.pods, gang=None)
    job = job_manifest(
        pods,
        template.model_copy(update={"accelerator": accelerator}),
        launcher=launcher,
        progress_prefix=progress_prefix,
        owner=owner,
    )
    job["metadata"]["annotations"] |= {
        names.DIGEST: names.work_digest(spec),
        names.INDEXES: ranges_text(spec.indexes),
        names.GANG: str(gang.pods),
    }
    job["spec"]["maxFailedIndexes"] = 0
    job["spec"]["successPolicy"] = {"rules": [{"succeededCount": 1}]}
    job["spec"]["template"]["metadata"]["labels"][names.GANG] = names.IN_A_GANG
    pod = job["spec"]["template"]["spec"]
    pod["subdomain"] = template.gang_service
    container = pod["containers"][0]
    own = {told.JOB_INDEX, told.JOB_INDEXES}
    container["env"] = [entry for entry in container["env"] if entry["name"] not in own]
    container["env"].append({"name": told.JOB_INDEX, "value": str(spec.indexes[0])})
    container["ports"] = [{"name": "rendezvous", "containerPort": _PORT}]
    if gang.processes > 1:  # NCCL's processes of one pod talk through it, and a container has 64 MB of it
        pod["volumes"].append({"name": _SHARED, "emptyDir": {"medium": "Memory", "sizeLimit": _SHARED_SIZE}})
        container["volumeMounts"].append({"name": _SHARED, "mountPath": "/dev/shm"})  # noqa: S108 - the pod's own
    return job
