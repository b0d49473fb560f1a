"""One piece of work by several pods at once, N pods x M devices: an Indexed Job, and a headless service to meet by.

Every pod runs torchrun; they meet at the first one (c10d rendezvous), and a pod that was replaced joins anew. All of
them work on one and the same shard: `SUTI_JOB_INDEX` is the shard's, `JOB_COMPLETION_INDEX` the pod's. Prepared for a
training that is distributed (DDP); the apprentice's is not yet, so no launcher makes gangs. What is open until then:
torchrun ends with 1 whatever its processes ended with, so that the port's exit codes have to get past it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from suti.core.errors import InvalidArgument
from suti.infra.jobs import environment as told
from suti.infra.jobs.kubernetes import names
from suti.infra.jobs.kubernetes.manifest import job_labels, job_manifest
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.port import JobSpec

_Object = dict[str, Any]

_PORT = 29500
_RESTARTS = 100  # of the processes within a pod, each time another pod came or went
_MOST_NAME = 57  # a pod's host name is the job's, a dash and the pod's number, at most 63 characters


def gang_manifests(
    spec: JobSpec,
    template: JobTemplate,
    *,
    pods: int,
    devices: int,
    launcher: str,
    progress_prefix: str,
    owner: Mapping[str, str] | None = None,
) -> tuple[_Object, _Object]:
    """The headless Service and the Job.

    Args:
        spec: Work of one index; its command is a Python program, `("python", "-m", "suti_apprentice.job")`.
        template: The operator's wishes; the accelerator's count is `devices`.
        pods: N.
        devices: M, processes of each pod.
        launcher: As in `job_manifest`.
        progress_prefix: As in `job_manifest`.
        owner: As in `job_manifest`.

    Raises:
        InvalidArgument: more than one index, a command that is no Python program, a name too long, less than one pod.
    """
    if len(spec.indexes) != 1:
        raise InvalidArgument("indexes", f"{len(spec.indexes)} of them: a gang works on one shard")
    if len(spec.command) < 3 or spec.command[1] != "-m":
        raise InvalidArgument("command", f"{spec.command!r} is no `python -m program`: torchrun starts such alone")
    if len(spec.name) > _MOST_NAME:
        raise InvalidArgument("name", f"{spec.name!r} is too long for pods' host names: at most {_MOST_NAME}")
    if pods < 1 or devices < 1:
        raise InvalidArgument("pods, devices", "must be at least 1")
    accelerator = template.accelerator and template.accelerator.model_copy(update={"count": devices})
    job = job_manifest(
        replace(spec, command=_torchrun(spec, pods, devices), indexes=tuple(range(pods)), parallelism=pods),
        template.model_copy(update={"accelerator": accelerator}),
        launcher=launcher,
        progress_prefix=progress_prefix,
        owner=owner,
    )
    pod = job["spec"]["template"]["spec"]
    pod["subdomain"] = spec.name
    container = pod["containers"][0]
    own = {told.JOB_INDEX, told.JOB_INDEXES}
    container["env"] = [entry for entry in container["env"] if entry["name"] not in own]
    container["env"].append({"name": told.JOB_INDEX, "value": str(spec.indexes[0])})
    container["ports"] = [{"name": "rendezvous", "containerPort": _PORT}]
    metadata = {"name": spec.name, "namespace": template.namespace, "labels": job_labels(template, launcher)}
    if owner:
        metadata["ownerReferences"] = job["metadata"]["ownerReferences"]
    service: _Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,  # pods meet before they are ready
            "selector": {names.JOB_NAME: spec.name},
            "ports": [{"name": "rendezvous", "port": _PORT}],
        },
    }
    return service, job


def _torchrun(spec: JobSpec, pods: int, devices: int) -> tuple[str, ...]:
    return (
        spec.command[0],
        "-m",
        "torch.distributed.run",
        f"--nnodes={pods}",
        f"--nproc-per-node={devices}",
        "--rdzv-backend=c10d",
        f"--rdzv-id={spec.name}",
        f"--rdzv-endpoint={spec.name}-0.{spec.name}:{_PORT}",
        f"--max-restarts={_RESTARTS}",
        *spec.command[1:],
    )
