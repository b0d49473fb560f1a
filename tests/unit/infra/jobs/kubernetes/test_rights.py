"""The rights that launchers are said to need are those that they use."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from kubernetes.client import Configuration

from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.jobs.kubernetes.backend import KubernetesJobs
from suti.infra.jobs.kubernetes.rights import RIGHTS
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.port import GangSize, JobSpec
from suti.infra.store import Store
from tests.unit.infra.jobs.kubernetes.api_objects import pod
from tests.unit.infra.jobs.kubernetes.small_api import SmallApi, serving
from tests.waiting import becomes

SPACE = "namespaces/suti"
JOBS, OWNER = f"/apis/batch/v1/{SPACE}/jobs", f"/apis/apps/v1/{SPACE}/deployments/suti-apprentice"
VERBS = {"DELETE": {"delete"}, "PATCH": {"create", "patch"}, "WATCH": {"watch"}}  # apply creates what is not there


def _used(calls: Iterable[str]) -> dict[tuple[str, str], set[str]]:
    """(API group, resource) -> verbs, as the API server's authorizer sees the calls."""
    used: dict[tuple[str, str], set[str]] = {}
    for call in calls:
        method, path = call.split(" ")
        before, _, after = path.partition(f"/{SPACE}/")
        resource, *name = after.split("/")
        group = before.split("/")[2] if before.startswith("/apis/") else ""
        found = used.setdefault((group, "/".join([resource, *name[1:]])), set())
        found |= VERBS.get(method) or {"get" if name else "list"}
    return used


async def test_a_launcher_uses_just_the_rights_that_the_role_gives_it(tmp_path: Path) -> None:
    small = SmallApi()
    told = {"namespace": "suti", "image": "x", "graceS": 1, "hangS": 0.2, "gangService": "gangs"}
    template = JobTemplate.model_validate({**told, "owner": {"name": "suti-apprentice"}})
    one = JobSpec("one", ("true",), (0,))
    gang = JobSpec("gang", ("python", "-m", "program"), (0,), gang=GangSize(pods=2, processes=1))
    with serving(small) as address:
        small.put(OWNER, {"metadata": {"name": "suti-apprentice"}})
        api = KubernetesApi(Configuration(host=address))
        jobs = KubernetesJobs(api, template, Store.open(f"file://{tmp_path}"), launcher="suti-apprentice")
        await jobs.recover()
        await jobs.start(one)
        await jobs.start(gang)
        await jobs.waits_for("one")
        small.put(f"/api/v1/{SPACE}/pods/one-0", pod(0, name="one-0", of="one"))
        await becomes(lambda: f"DELETE /api/v1/{SPACE}/pods/one-0" in small.calls, limit_s=10)  # it hangs
        await jobs.standing("")
        await jobs.status("one")
        await jobs.progress("one")
        cancelling = asyncio.create_task(jobs.cancel("one"))
        await becomes(lambda: small.objects[f"{JOBS}/one"]["spec"].get("activeDeadlineSeconds") == 1, limit_s=10)
        small.finish(f"{JOBS}/one", "Failed", reason="DeadlineExceeded")
        await cancelling
        await jobs.forget("one")
        await jobs.release("gang")
        await jobs.close()

    assert _used(small.calls) == {resource: set(verbs) for resource, verbs in RIGHTS.items()}
