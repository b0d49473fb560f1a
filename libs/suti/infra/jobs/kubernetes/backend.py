"""Jobs as Kubernetes Indexed Jobs. The API server holds all state: launchers come, go and are several."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from suti.core import keys
from suti.core.errors import SutiError
from suti.infra.jobs.environment import TRACEPARENT
from suti.infra.jobs.kubernetes import names
from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.jobs.kubernetes.complaints import Complaints
from suti.infra.jobs.kubernetes.counting import attempt_outcome, jobs_by_state
from suti.infra.jobs.kubernetes.errors import ApiFault, KubernetesUnavailable, in_our_words
from suti.infra.jobs.kubernetes.explain import explain_job, slow_to_start
from suti.infra.jobs.kubernetes.farewell import delete_jobs_of_an_ending_namespace
from suti.infra.jobs.kubernetes.following import Following
from suti.infra.jobs.kubernetes.gang import gang_manifest
from suti.infra.jobs.kubernetes.hangs import Hangs
from suti.infra.jobs.kubernetes.manifest import job_labels, job_manifest
from suti.infra.jobs.kubernetes.seen import Seen, SeenJob, SeenPod, seen_job, seen_pod
from suti.infra.jobs.kubernetes.standing import job_status
from suti.infra.jobs.kubernetes.template import JobTemplate, Owner
from suti.infra.jobs.kubernetes.watch import Follower
from suti.infra.jobs.port import JobNameTaken, JobSpec, JobStatus, Progress
from suti.infra.jobs.ranges import ranges_from
from suti.infra.jobs.store_progress import ProgressReader
from suti.infra.store import Store
from suti.infra.telemetry import metrics
from suti.infra.telemetry.context import outgoing_headers

_LOG_TAIL_LINES = 10_000
_LOG_TAIL_BYTES = 1_000_000
_SYNC_S = 30.0
_GONE_S = 60.0  # from a job's deletion until it is gone, with pods that need no time to end
_FAREWELL_S = 10.0
_POLL_S = 0.1
_TRIES_TO_DELETE = 5

_log = logging.getLogger(__name__)

_Object = Mapping[str, Any]


class KubernetesJobs:
    """The backend for a cluster. Needs of the API server what `suti.infra.jobs.kubernetes.rights` says, no more."""

    def __init__(
        self,
        api: KubernetesApi,
        template: JobTemplate,
        store: Store,
        *,
        launcher: str,
        gone_s: float = _GONE_S,
        told_s: float = 120.0,
        believed_s: float = 300.0,
    ) -> None:
        """`launcher` names the service, `suti-experts`: its replicas share their jobs, other launchers see none."""
        self._api = api
        self._template = template
        self._store = store
        self._launcher = launcher
        self._seen = Seen(ended=self._pod_ended)
        self._progress = ProgressReader(store)
        self._gone_s = gone_s + template.grace_s
        namespace = template.namespace
        self._jobs_path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._pods_path = f"/api/v1/namespaces/{namespace}/pods"
        self._complaints = Complaints(api, f"/api/v1/namespaces/{namespace}/events")
        labels = job_labels(template, launcher)
        self._selector = selector = ",".join(f"{label}={value}" for label, value in sorted(labels.items()))
        self.jobs = Follower(
            api, self._jobs_path, selector=selector, listed=self._jobs_listed, changed=self._job_changed
        )
        self.pods = Follower(
            api, self._pods_path, selector=selector, listed=self._pods_listed, changed=self._pod_changed
        )
        self._following = Following(self.jobs, self.pods, told_s=told_s, believed_s=believed_s)
        self._owner: dict[str, str] | None = None
        self._hangs: asyncio.Task[None] | None = None

    async def recover(self) -> list[str]:
        """See `JobsBackend.recover`: jobs go on by themselves; this sees them all, and begins to replace what hangs."""
        await self._synced()
        return [job.name for job in self._seen.jobs() if not job.ended]

    async def start(self, spec: JobSpec) -> None:
        """See `Jobs.start`. Two launchers that start the same job at once start one.

        Raises:
            JobNameTaken: the name belongs to a job with another command or other indexes.
            JobRefused: the API server does not take the job as the template makes it.
            KubernetesRefused, KubernetesUnavailable: it does not let us, or does not answer.
        """
        await self._synced()
        environment = {TRACEPARENT: outgoing_headers().get("traceparent", ""), **spec.environment}
        spec = replace(spec, environment={name: value for name, value in environment.items() if value})
        job = await self._standing_job(spec.name) or await self._apply(spec)
        if job.digest != names.work_digest(spec):
            raise JobNameTaken(f"job {spec.name} does something else already: give this one another name")

    async def standing(self, prefix: str) -> Mapping[str, tuple[int, ...]]:
        """See `Jobs.standing`; from memory, as `status` is."""
        await self._remembered()
        found = (job for job in self._seen.jobs() if job.name.startswith(prefix) and not job.deleting)
        return {job.name: ranges_from(job.indexes) for job in found}

    async def status(self, name: str) -> JobStatus | None:
        """See `Jobs.status`; from memory, so it may be asked often. Raises KubernetesUnavailable if that is old."""
        await self._remembered()
        job = self._seen.job(name)
        return None if job is None or job.deleting else job_status(job, self._seen.pods(name))

    async def cancel(self, name: str) -> None:
        """See `Jobs.cancel`. Returns once its pods are gone, or their grace period is over.

        The Job gets a deadline that has passed: the controller then ends its pods, and the Job stays, to tell of it.
        Deadlines do not run while a Job is suspended: such a one is deleted, so that no queue ever admits it, and who
        watches remembers that it was cancelled.
        """
        job = await self._find(name)
        if job is None or job.ended or job.deleting:
            return
        patch = {
            "metadata": {"uid": job.uid, "annotations": {names.CANCELLED: datetime.now(UTC).isoformat()}},
            "spec": {"activeDeadlineSeconds": 1},
        }
        await self._patch(job, patch)
        for _ in range(_TRIES_TO_DELETE):
            if (job := await self._find(name)) is None or not job.suspended or job.ended:
                break
            # Of this version alone: somebody may let it start just now, and then the deadline runs.
            await self._delete_job(job, {"resourceVersion": str(job.version)})
        await self._until(
            lambda: (now := self._seen.job(name)) is None or job_status(now, {}).state.ended,
            limit_s=self._template.grace_s + 10.0,
        )

    async def forget(self, name: str) -> None:
        """See `Jobs.forget`. Returns once the name is free."""
        job = await self._find(name)
        if job is None:
            if (kept := self._seen.job(name)) is not None:
                self._seen.lose_job(name, kept.uid)
            return
        if not job.deleting:
            if not job_status(job, {}).state.ended:
                return
            await self._delete_job(job)
        await self._gone(job)
        await asyncio.to_thread(self._progress.forget, self._prefix(name))

    async def logs(self, name: str, index: int) -> str:
        """See `Jobs.logs`; at most the last megabyte. Wants a right (`pods/log`: get) that no service needs or has."""
        job = await self._find(name)
        if job is None or index not in (indexes := ranges_from(job.indexes)):
            return ""
        selector = f"{names.JOB_NAME}={name}"
        if not job.gang:
            selector += f",{names.POSITION}={indexes.index(index)}"
        try:
            found = await self._ask(self._api.get, self._pods_path, {"labelSelector": selector})
        except ApiFault as fault:
            raise self._named(fault) from fault
        pods = sorted(found.get("items") or [], key=lambda pod: pod["metadata"]["creationTimestamp"])
        told = [await self._log_of(pod["metadata"]["name"]) for pod in pods]
        return "".join(told)[-_LOG_TAIL_BYTES:]

    async def progress(self, name: str) -> Mapping[int, Progress]:
        """See `Jobs.progress`; a few seconds old."""
        if self._seen.job(name) is None or not self._seen.pods(name):
            return {}
        return await asyncio.to_thread(self._progress.read, self._prefix(name))

    async def waits_for(self, name: str) -> str:
        """See `Jobs.waits_for`."""
        await self._synced()
        job = self._seen.job(name)
        if job is None or job.ended:
            return ""
        if trouble := self._following.trouble():
            return f"{trouble}: see the launcher's log, the API server and the launcher's role"
        pods, now = self._seen.pods(name).values(), datetime.now(UTC)
        slow = slow_to_start(pods, now=now)
        return explain_job(
            job,
            pods,
            await self._complaints.of(job, pods),
            now=now,
            slow_start=await self._complaints.of_pod(slow[0]) if slow else "",
        )

    async def release(self, name: str) -> None:
        """See `Jobs.release`: the Job is deleted some time (`ttl_s`) after its end."""
        job = await self._find(name)
        if job is not None and not job.deleting:
            await self._patch(job, {"spec": {"ttlSecondsAfterFinished": self._template.ttl_s}})

    async def close(self) -> None:
        """See `JobsBackend.close`: jobs need no launcher to go on, but to go where their namespace goes."""
        if self._hangs is not None:
            self._hangs.cancel()
            await asyncio.wait([self._hangs])
        await self._following.stop()
        say_farewell = partial(delete_jobs_of_an_ending_namespace, launcher=self._launcher, selector=self._selector)
        with suppress(TimeoutError):  # an API server that is away keeps nobody from ending
            await asyncio.wait_for(asyncio.to_thread(say_farewell, self._api, self._jobs_path), _FAREWELL_S)
        await asyncio.to_thread(self._api.close)

    # What is asked of the API server.

    async def _apply(self, spec: JobSpec) -> SeenJob:
        owner, prefix = await self._owner_of_jobs(), self._prefix(spec.name)
        if spec.gang is not None:
            manifest = gang_manifest(
                spec, spec.gang, self._template, launcher=self._launcher, progress_prefix=prefix, owner=owner
            )
        else:
            manifest = job_manifest(spec, self._template, launcher=self._launcher, progress_prefix=prefix, owner=owner)
        path = f"{self._jobs_path}/{spec.name}"
        try:
            made = await asyncio.to_thread(self._api.apply, path, manifest, manager=self._launcher)
        except ApiFault as fault:
            # Somebody was first (409), and its pods are told another trace than ours (422: they cannot change).
            if fault.status in (409, 422) and (job := await self._standing_job(spec.name)) is not None:
                return job
            raise self._named(fault) from fault
        return self._remember(made)

    async def _standing_job(self, name: str) -> SeenJob | None:
        """The job of that name at the API server; one that is being deleted is waited for."""
        job = await self._find(name)
        if job is None or not job.deleting:
            return job
        await self._gone(job)
        return await self._find(name)

    async def _find(self, name: str) -> SeenJob | None:
        await self._synced()
        try:
            return self._remember(await self._ask(self._api.get, f"{self._jobs_path}/{name}"))
        except ApiFault as fault:
            if fault.status == 404:
                return None
            raise self._named(fault) from fault

    async def _gone(self, job: SeenJob) -> None:
        """Waits until the job is no more."""
        until = time.monotonic() + self._gone_s
        while (found := await self._find(job.name)) is not None and found.uid == job.uid:
            if time.monotonic() > until:
                raise KubernetesUnavailable(f"job {job.name} is still being deleted: asked again; see its finalizers")
            await asyncio.sleep(_POLL_S)
        self._seen.lose_job(job.name, job.uid)

    async def _patch(self, job: SeenJob, body: dict[str, Any]) -> None:
        body = {**body, "metadata": {**body.get("metadata", {}), "uid": job.uid}}  # of this job alone
        try:
            path = f"{self._jobs_path}/{job.name}"
            self._remember(await asyncio.to_thread(self._api.patch, path, body, manager=f"{self._launcher}-end"))
        except ApiFault as fault:
            if fault.status not in (404, 409):
                raise self._named(fault) from fault

    async def _delete_job(self, job: SeenJob, more: Mapping[str, str] | None = None) -> None:
        """Deletes it, unless it is gone, another one by now, or no more of the version in `more`."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": job.uid, **(more or {})}}
        try:
            await self._ask(self._api.delete, f"{self._jobs_path}/{job.name}", body)
        except ApiFault as fault:
            if fault.status not in (404, 409):
                raise self._named(fault) from fault

    async def _log_of(self, pod: str) -> str:
        try:
            return await self._ask(self._api.text, f"{self._pods_path}/{pod}/log", {"tailLines": _LOG_TAIL_LINES})
        except ApiFault as fault:
            if fault.status in (400, 404):  # its container never ran, or it is gone
                return ""
            raise self._named(fault) from fault

    async def _owner_of_jobs(self) -> dict[str, str] | None:
        if self._template.owner is None or self._owner is not None:
            return self._owner
        self._owner = await asyncio.to_thread(self._find_owner, self._template.owner)
        return self._owner

    def _find_owner(self, owner: Owner) -> dict[str, str]:
        uid = owner.uid
        if uid is None:
            group = "/api/v1" if owner.api_version == "v1" else f"/apis/{owner.api_version}"
            path = f"{group}/namespaces/{self._template.namespace}/{owner.kind.lower()}s/{owner.name}"
            try:
                uid = str(self._api.get(path)["metadata"]["uid"])
            except ApiFault as fault:
                raise self._named(fault) from fault
        return {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": uid}

    @staticmethod
    async def _ask[**P, T](call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(call, *args, **kwargs)

    # What is seen.

    async def _synced(self) -> None:
        """Everything there is has been seen once."""
        if not self._following.started:
            metrics.expect_job_attempts()
            metrics.watch_jobs(lambda: jobs_by_state(self._seen))
            self._following.start()
            if self._template.hang_s is not None:
                hangs = Hangs(self._seen, self._progress, self._prefix, self._delete_pod, limit_s=self._template.hang_s)
                self._hangs = asyncio.create_task(hangs.watch(), name="hanging pods")
        if (fault := await self._following.first_look(limit_s=_SYNC_S)) is not None:
            raise self._named(fault)

    async def _remembered(self) -> None:
        """Memory may be told from."""
        await self._synced()
        if trouble := self._following.unbelievable():
            raise KubernetesUnavailable(f"{trouble}: it is asked again; check the API server and the launcher's role")

    async def _until(self, so: Callable[[], bool], *, limit_s: float) -> bool:
        until = time.monotonic() + limit_s
        while not so():
            if time.monotonic() > until:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    def _remember(self, job: _Object) -> SeenJob:
        found = seen_job(job)
        self._seen.see_job(found)
        return found

    def _jobs_listed(self, objects: Iterator[_Object], version: Callable[[], int]) -> None:
        jobs = [seen_job(one) for one in objects]
        self._seen.only_jobs(jobs, version=version())

    def _pods_listed(self, objects: Iterator[_Object], version: Callable[[], int]) -> None:
        pods = [pod for one in objects if (pod := seen_pod(one)) is not None]
        self._seen.only_pods(pods, version=version())

    def _job_changed(self, kind: str, found: _Object) -> None:
        job = seen_job(found)
        if kind == "DELETED":
            if job.cancelled and job.suspended:
                self._seen.see_job(replace(job, deleting=False, gone=True, active=0))
            else:
                self._seen.lose_job(job.name, job.uid)
            self._progress.drop(self._prefix(job.name))
        else:
            self._seen.see_job(job)

    def _pod_changed(self, kind: str, found: _Object) -> None:
        if (pod := seen_pod(found)) is None:
            return
        if kind == "DELETED":
            self._seen.lose_pod(pod)
        else:
            self._seen.see_pod(pod)

    def _pod_ended(self, pod: SeenPod, job: SeenJob | None) -> None:
        """Counted, unless it ended before this launcher began to look."""
        if self.pods.synced.is_set() and (outcome := attempt_outcome(pod, job)) is not None:
            metrics.count_job_attempt(outcome=outcome)

    def _delete_pod(self, pod: SeenPod) -> None:
        try:
            self._api.delete(f"{self._pods_path}/{pod.name}", {"preconditions": {"uid": pod.uid}})
        except ApiFault as fault:
            _log.warning("could not replace pod %s: %s", pod.name, fault)

    def _prefix(self, name: str) -> str:
        return keys.job_progress(self._launcher, name)

    def _named(self, fault: ApiFault) -> SutiError:
        return in_our_words(fault, self._template.namespace)
