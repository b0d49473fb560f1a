"""What keeps a release on Kubernetes from working, in words: asked of the API server, changed nowhere."""

import json
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from suti.infra.jobs.kubernetes import names
from suti.infra.jobs.kubernetes.api import KubernetesApi, Object
from suti.infra.jobs.kubernetes.errors import ApiFault
from suti.infra.jobs.kubernetes.explain import explain_job, explain_waiting, slow_to_start
from suti.infra.jobs.kubernetes.seen import seen_job, seen_pod, waiting
from suti.local.findings import Finding, Verdict

OLDEST = (1, 31)

_INSTANCE = "app.kubernetes.io/instance"
_LOG_LINES = 20
_MOST_CHARS = 300
_STARTING = "starting"
_VALUES = "the chart's values"


def check_cluster(api: KubernetesApi, *, namespace: str, release: str) -> Iterator[Finding]:
    """The cluster's version, then what the release has there: claims, and the pods of each workload.

    Raises ApiFault where the API server does not answer, or does not let us look.
    """
    yield _version(api)
    release_of = {"labelSelector": f"{_INSTANCE}={release}"}
    core = f"/api/v1/namespaces/{namespace}"
    pods = _all(api, f"{core}/pods", release_of)
    workloads = [
        one
        for group, kind in (("apps/v1", "deployments"), ("apps/v1", "statefulsets"), ("batch/v1", "jobs"))
        for one in _all(api, f"/apis/{group}/namespaces/{namespace}/{kind}", release_of)
    ]
    if not workloads:
        remedy = (
            f"`helm install {release} charts/suti --namespace {namespace}`, or name another --namespace or --release"
        )
        yield Finding("release", Verdict.FAIL, f"nothing of release {release!r} is in namespace {namespace!r}", remedy)
        return
    for claim in _all(api, f"{core}/persistentvolumeclaims", release_of):
        yield _claim(api, core, claim)
    launched = [one for one in workloads if names.DIGEST in (one["metadata"].get("annotations") or {})]
    for workload in workloads:
        if workload not in launched and (finding := _workload(api, core, workload)) is not None:
            yield finding
    for job in launched:
        if (finding := _launched(api, core, job, pods)) is not None:
            yield finding
    theirs = {str(job["metadata"]["name"]) for job in launched}
    troubled: list[Finding] = []
    for pod in sorted(pods, key=lambda one: str(one["metadata"]["name"])):
        if (pod["metadata"].get("labels") or {}).get(names.JOB_NAME) in theirs:
            continue
        if (trouble := _trouble(pod)) is not None and not (trouble == "failed" and _is_replaced(pod, workloads)):
            troubled.append(_pod(api, core, pod, trouble))
    yield from _together(troubled)


def _together(pods: Iterable[Finding]) -> Iterator[Finding]:
    """One line for all that have the same trouble, and the same remedy."""
    alike: defaultdict[tuple[Verdict, str, str], list[str]] = defaultdict(list)
    for one in pods:
        alike[one.verdict, one.found, one.remedy].append(one.subject)
    for (verdict, found, remedy), subjects in alike.items():
        named = ", ".join(subject.removeprefix("pod ") for subject in subjects)
        yield Finding(f"pods {named}" if len(subjects) > 1 else subjects[0], verdict, found, remedy)


def _version(api: KubernetesApi) -> Finding:
    told = api.get("/version")
    major, minor = (int(re.sub(r"\D.*", "", str(told[part])) or 0) for part in ("major", "minor"))
    found = f"Kubernetes {told['gitVersion']}"
    if (major, minor) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        return Finding("cluster", Verdict.FAIL, f"{found}, and Suti needs {wanted}", f"upgrade it to {wanted} or later")
    return Finding("cluster", Verdict.OK, found)


def _claim(api: KubernetesApi, core: str, claim: Object) -> Finding:
    name, phase = f"claim {claim['metadata']['name']}", str((claim.get("status") or {}).get("phase"))
    if phase == "Bound":
        return Finding(name, Verdict.OK, "bound")
    wanted = (claim.get("spec") or {}).get("storageClassName")
    known = f"storage class {wanted!r}" if wanted else "no storage class, and the cluster has no default"
    complaint = _complaint(api, core, claim)
    remedy = f"name a class of `kubectl get storageclass` in {_VALUES} (storageClass), delete the claim, upgrade"
    return Finding(name, Verdict.FAIL, f"{phase.lower()}, {known}{': ' if complaint else ''}{complaint}", remedy)


def _workload(api: KubernetesApi, core: str, workload: Object) -> Finding | None:
    """A line for a workload of services; for what made no pods, why; none for a job of the chart that goes on or is
    done.
    """
    metadata, spec, status = workload["metadata"], workload.get("spec") or {}, workload.get("status") or {}
    name = str(metadata["name"])
    if "replicas" not in spec:  # a job
        failed = [one for one in status.get("conditions") or [] if one["type"] == "Failed" and one["status"] == "True"]
        if not failed:
            return None
        found = f"failed: {_short(str(failed[0].get('message') or failed[0].get('reason')))}"
        return Finding(f"job {name}", Verdict.FAIL, found, f"`kubectl logs job/{name}`; correct {_VALUES}, upgrade")
    wanted, ready = int(spec["replicas"]), int(status.get("readyReplicas") or 0)
    if ready >= wanted:
        return Finding(name, Verdict.OK, f"{ready} of {wanted} ready")
    refused = [one for one in status.get("conditions") or [] if one["type"] == "ReplicaFailure"]
    why = _short(str(refused[0].get("message"))) if refused else _complaint(api, core, workload)
    remedy = f"correct {_VALUES}, or the namespace's quota and Pod Security level" if why else "see its pods below"
    return Finding(name, Verdict.FAIL, f"{ready} of {wanted} ready{': ' if why else ''}{why}", remedy)


def _launched(api: KubernetesApi, core: str, job: Object, pods: Iterable[Object]) -> Finding | None:
    """A line for a run's job that waits or has failed: the run's trouble, not the release's; none for any other."""
    seen, now = seen_job(job), datetime.now(UTC)
    its = [pod for one in pods if (pod := seen_pod(one)) is not None and pod.job == seen.name]
    if seen.failed:
        remedy = "`suti run why RUN` and `suti dead list` say whose shards these are; docs/runbooks/SutiJobsFail.md"
        return Finding(f"job {seen.name}", Verdict.WARN, f"failed: {_short(seen.message or seen.ended_as)}", remedy)
    slow = slow_to_start(its, now=now)
    warnings = [] if any(pod.living for pod in its) else [_complaint(api, core, job)]
    why = explain_job(
        seen,
        its,
        [one for one in warnings if one],
        now=now,
        slow_start=_complaint_about(api, core, slow[0].uid) if slow else "",
    )
    found, _, remedy = why.rpartition(": ")
    return Finding(f"job {seen.name}", Verdict.WARN, found, remedy) if why else None


def _trouble(pod: Object) -> str | None:
    """What is the matter with a pod, as its status says; None if it does or did its work, or is on its way out."""
    status = pod.get("status") or {}
    if "deletionTimestamp" in pod["metadata"] or status.get("phase") == "Succeeded":
        return None
    if status.get("phase") == "Failed":
        return "failed"
    containers: list[Mapping[str, Any]] = [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]
    for container in containers:
        if ((container.get("state") or {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff":
            return f"crashed {container.get('restartCount', 0)} times"
    if status.get("phase") == "Pending":
        return "pending"
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or []}
    if conditions.get("Ready") == "True":
        return None
    # Its startup probe has neither passed nor been given up yet.
    starts = any(one.get("started") is False and not one.get("restartCount") for one in containers)
    return _STARTING if starts else "running, and not ready"


def _is_replaced(pod: Object, workloads: Iterable[Object]) -> bool:
    """Whether a failed pod is nobody's trouble any more: what made it makes another, and tells if it cannot."""
    owners = [one for one in pod["metadata"].get("ownerReferences") or [] if one.get("controller")]
    if not owners or owners[0]["kind"] != "Job":
        return bool(owners)
    jobs = [one for one in workloads if one["metadata"].get("uid") == owners[0]["uid"]]
    ends = [one for job in jobs for one in (job.get("status") or {}).get("conditions") or []]
    return not any(one["type"] in ("Failed", "FailureTarget") and one["status"] == "True" for one in ends)


def _pod(api: KubernetesApi, core: str, pod: Object, trouble: str) -> Finding:
    name = f"pod {pod['metadata']['name']}"
    if trouble == _STARTING:
        return Finding(name, Verdict.WARN, trouble, "wait: its startup probe has not passed yet")
    if trouble == "pending":
        explained = explain_waiting(*waiting(pod.get("status") or {}), written_in=_VALUES)
        if explained:
            found, _, remedy = explained.rpartition(": ")
            return Finding(name, Verdict.FAIL, f"pending, {found}", remedy)
    known = _last_words(api, core, pod) or _complaint(api, core, pod)
    namespace = pod["metadata"]["namespace"]
    remedy = (
        f"`kubectl describe {name.replace(' ', '/')} -n {namespace}` and its logs say more; docs/errors.md has reasons"
    )
    return Finding(name, Verdict.FAIL, f"{trouble}{': ' if known else ''}{known}", remedy)


def _complaint(api: KubernetesApi, core: str, about: Object) -> str:
    """What the cluster complained of last; empty if nothing."""
    return _complaint_about(api, core, str(about["metadata"]["uid"]))


def _complaint_about(api: KubernetesApi, core: str, uid: str) -> str:
    query = {"fieldSelector": f"involvedObject.uid={uid}"}
    events = [one for one in _all(api, f"{core}/events", query) if one.get("type") == "Warning"]
    newest = max(events, key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime") or ""), default={})
    return _short(str(newest.get("message", "")))


def _last_words(api: KubernetesApi, core: str, pod: Object) -> str:
    """The last error that the pod's first container logged, before it was started again or now."""
    path = f"{core}/pods/{pod['metadata']['name']}/log"
    container = pod["spec"]["containers"][0]["name"]
    for previous in ("true", "false"):
        try:
            text = api.text(path, {"container": container, "previous": previous, "tailLines": _LOG_LINES})
        except ApiFault:  # it has not run yet, or not before
            continue
        lines = [_said(line) for line in text.splitlines() if line.strip()]
        errors = [message for level, message in lines if level in {"ERROR", "CRITICAL"}]
        if lines:
            return _short(errors[-1] if errors else lines[-1][1])
    return ""


def _said(line: str) -> tuple[str, str]:
    """Level and message of a line of log, ours (JSON) or another's."""
    try:
        fields = json.loads(line)
        return str(fields["level"]), str(fields["message"])
    except (ValueError, KeyError, TypeError):
        return "", line


def _all(api: KubernetesApi, path: str, query: Mapping[str, str]) -> list[Object]:
    return [item for items, _ in api.pages(path, dict(query)) for item in items]


def _short(text: str) -> str:
    return textwrap.shorten(text, _MOST_CHARS, placeholder=" ...")
