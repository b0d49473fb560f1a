"""An Indexed Job as the API server wants it: a pure function of the work, the operator's template and the launcher."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from suti.core.errors import ExitCode
from suti.infra.jobs import environment as told
from suti.infra.jobs.kubernetes import names
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.port import JobSpec
from suti.infra.jobs.ranges import ranges_text

CONTAINER = "job"

_Object = dict[str, Any]

# Above so many completions the Job API caps what may run and fail (validation of batch/v1 Job).
_MANY = 100_000
_MOST_AT_A_TIME = _MOST_FAILED = 10_000
_TMP = "suti-tmp"


def job_manifest(
    spec: JobSpec, template: JobTemplate, *, launcher: str, progress_prefix: str, owner: Mapping[str, str] | None = None
) -> _Object:
    """The Job of this work. The same arguments give the same manifest.

    Args:
        spec: The work; its i-th index is the pod of completion index i.
        template: The operator's wishes.
        launcher: Who launches, `suti-experts`: the label by which it finds its jobs again.
        progress_prefix: Where in the store pods say how far they are.
        owner: `apiVersion`, `kind`, `name`, `uid` of the object whose deletion deletes the job.
    """
    completions = len(spec.indexes)
    many = completions > _MANY
    labels = job_labels(template, launcher)
    metadata: _Object = {
        "name": spec.name,
        "namespace": template.namespace,
        "labels": template.job_labels | labels | ({names.QUEUE: template.queue} if template.queue else {}),
        "annotations": {
            **template.job_annotations,
            names.DIGEST: names.work_digest(spec),
            names.INDEXES: ranges_text(spec.indexes),
            names.ATTEMPTS: str(spec.attempts_per_index),
        },
    }
    if owner:
        metadata["ownerReferences"] = [{**owner, "controller": False, "blockOwnerDeletion": False}]
    failed = template.max_failed_indexes or completions
    body: _Object = {
        "completionMode": "Indexed",
        "completions": completions,
        "parallelism": min(spec.parallelism, completions, _MOST_AT_A_TIME if many else completions),
        "backoffLimitPerIndex": spec.attempts_per_index - 1,
        "maxFailedIndexes": min(failed, completions, _MOST_FAILED if many else completions),
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": _rules()},
        "suspend": template.suspend or template.queue is not None,
        "template": {
            "metadata": {
                "labels": {**labels, **template.pod_labels},
                "annotations": dict(template.pod_annotations),
            },
            "spec": _pod(spec, template, progress_prefix),
        },
    }
    if spec.deadline_s is not None:
        body["activeDeadlineSeconds"] = max(1, ceil(spec.deadline_s))
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": body}


def job_labels(template: JobTemplate, launcher: str) -> dict[str, str]:
    """What a launcher's jobs and pods carry, and by what it finds them again."""
    return {**template.labels, names.PART_OF: "suti", names.MANAGED_BY: launcher}


def _rules() -> list[_Object]:
    """The port's exit codes. The first rule that fits decides; what fits none counts as an attempt."""
    return [
        _exit_rule("FailIndex", ExitCode.BAD_DATA),
        _exit_rule("FailJob", ExitCode.BAD_CONFIGURATION),
        _exit_rule("Ignore", ExitCode.TERMINATED),
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]


def _exit_rule(action: str, code: ExitCode) -> _Object:
    return {"action": action, "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [int(code)]}}


def _pod(spec: JobSpec, template: JobTemplate, progress_prefix: str) -> _Object:
    """A pod without any right, within the restricted Pod Security level."""
    security: _Object = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    for field, value in (
        ("runAsUser", template.run_as_user),
        ("runAsGroup", template.run_as_group),
        ("fsGroup", template.fs_group),
    ):
        if value is not None:
            security[field] = value
    tmp: _Object = {"sizeLimit": template.tmp_size} if template.tmp_size else {}
    pod: _Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # Else the program is process 1 of its pod, and a SIGTERM that comes before its handler stands goes nowhere.
        "shareProcessNamespace": True,
        "terminationGracePeriodSeconds": template.grace_s,
        "securityContext": security,
        "containers": [_container(spec, template, progress_prefix)],
        "volumes": [{"name": _TMP, "emptyDir": tmp}, *template.volumes],
    }
    wishes: _Object = {
        "serviceAccountName": template.service_account_name,
        "imagePullSecrets": template.image_pull_secrets,
        "nodeSelector": template.node_selector,
        "tolerations": template.tolerations,
        "affinity": template.affinity,
        "topologySpreadConstraints": template.topology_spread_constraints,
        "priorityClassName": template.priority_class_name,
        "runtimeClassName": template.runtime_class_name,
        "schedulerName": template.scheduler_name,
    }
    return pod | {field: value for field, value in wishes.items() if value}


def _container(spec: JobSpec, template: JobTemplate, progress_prefix: str) -> _Object:
    container: _Object = {
        "name": CONTAINER,
        "image": template.image,
        "imagePullPolicy": template.image_pull_policy,
        "command": [_verbatim(word) for word in spec.command],
        "env": _environment(spec, template, progress_prefix),
        "resources": _resources(spec, template),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": str(told.KUBERNETES_TERMINATION_FILE),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": _TMP, "mountPath": "/tmp"}, *template.volume_mounts],  # noqa: S108 - the pod's own
    }
    if template.env_from:
        container["envFrom"] = template.env_from
    return container


def _verbatim(text: str) -> str:
    """So that the process gets just this text: Kubernetes puts a variable's value for `$(NAME)`, and `$` for `$$`."""
    return text.replace("$", "$$")


def _environment(spec: JobSpec, template: JobTemplate, progress_prefix: str) -> list[_Object]:
    """What the port promises to the process. What the work says goes before what the operator says."""
    plain = {
        **spec.environment,
        told.JOB_NAME: spec.name,
        told.JOB_INDEXES: ranges_text(spec.indexes),
        told.PROGRESS_PREFIX: progress_prefix,
        told.TERMINATION_FILE: str(told.KUBERNETES_TERMINATION_FILE),
    }
    entries: list[_Object] = [{"name": name, "value": _verbatim(value)} for name, value in plain.items()]
    if spec.indexes == tuple(range(len(spec.indexes))):  # else the process finds its own in JOB_INDEXES
        field = {"fieldRef": {"fieldPath": f"metadata.annotations['{names.POSITION}']"}}
        entries.append({"name": told.JOB_INDEX, "valueFrom": field})
    own = {told.JOB_INDEX, told.COMPLETION_INDEX, *plain}
    return [*(entry for entry in template.env if entry.get("name") not in own), *entries]


def _resources(spec: JobSpec, template: JobTemplate) -> _Object:
    """Requests and limits. The work's own quantities are requests, and limits of what cannot be shared."""
    requests, limits = dict(template.resources.requests), dict(template.resources.limits)
    for resource, quantity in spec.resources.items():
        requests[resource] = quantity
        if resource != "cpu" or resource in limits:
            limits[resource] = quantity
    if template.accelerator is not None:
        limits[template.accelerator.resource] = requests[template.accelerator.resource] = str(
            template.accelerator.count
        )
    return {name: amounts for name, amounts in (("requests", requests), ("limits", limits)) if amounts}
