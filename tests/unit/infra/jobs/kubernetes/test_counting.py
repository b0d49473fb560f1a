from pathlib import Path

import pytest
from kubernetes.client import Configuration

from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.jobs.kubernetes.backend import KubernetesJobs
from suti.infra.jobs.kubernetes.counting import attempt_outcome, jobs_by_state
from suti.infra.jobs.kubernetes.seen import Seen, SeenJob, SeenPod, seen_job, seen_pod
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.port import JobSpec
from suti.infra.store import Store
from suti.infra.telemetry.outcomes import AttemptOutcome
from tests.metering import measured, more
from tests.unit.infra.jobs.kubernetes.api_objects import Object, job, pod
from tests.unit.infra.jobs.kubernetes.small_api import SmallApi, serving
from tests.waiting import becomes

TWICE = {"suti.dev/attempts-per-index": "2"}


def of(found: Object) -> SeenPod:
    made = seen_pod(found)
    assert made is not None
    return made


def tried_twice(**wishes: object) -> SeenJob:
    made = job(**wishes)  # pyright: ignore[reportArgumentType]  # what `job` takes
    made["metadata"]["annotations"] |= TWICE
    return seen_job(made)


@pytest.mark.parametrize(
    ("ended", "outcome"),
    [
        (pod(phase="Succeeded", exit_code=0), AttemptOutcome.SUCCEEDED),
        (pod(phase="Failed", exit_code=1), AttemptOutcome.RETRIED),
        (pod(phase="Failed", exit_code=1, failures=1), AttemptOutcome.FAILED),
        (pod(phase="Failed", exit_code=65), AttemptOutcome.FAILED),
        (pod(phase="Failed", exit_code=78), AttemptOutcome.FAILED),
        (pod(phase="Failed", exit_code=143, failures=1), AttemptOutcome.PREEMPTED),
        (pod(phase="Failed", exit_code=137, disrupted=True), AttemptOutcome.PREEMPTED),
    ],
)
def test_an_attempt_is_counted_as_the_job_controller_rules(ended: Object, outcome: AttemptOutcome) -> None:
    assert attempt_outcome(of(ended), tried_twice()) is outcome


def test_what_somebody_cancelled_is_no_failure_of_the_nodes() -> None:
    assert attempt_outcome(of(pod(phase="Failed", exit_code=143)), tried_twice(cancelled=True)) is None


def test_each_pods_end_is_told_once_however_often_it_is_seen() -> None:
    told: list[str] = []
    seen = Seen(ended=lambda ended, _: told.append(ended.name))
    first, second = pod(0, phase="Failed", exit_code=1), pod(0, failures=1, created="2026-01-01T00:00:11Z", version=2)
    seen.see_job(seen_job(job()))

    seen.see_pod(of(pod(0)))
    for _ in range(2):
        seen.see_pod(of(first))
    seen.see_pod(of(second))
    seen.see_pod(of(first))  # its finalizer goes when its successor is there
    seen.lose_pod(of(first))
    seen.only_pods([of({**second, "status": {"phase": "Succeeded"}})], version=3)

    assert told == ["work-0-0", "work-0-1"]


def test_a_job_waits_while_none_of_its_pods_runs() -> None:
    seen = Seen()
    for name, shown in (("runs", "Running"), ("waits", "Pending")):
        seen.see_job(seen_job(job(name, uid=name)))
        seen.see_pod(of(pod(0, of=name, phase=shown)))
    seen.see_job(seen_job(job("lost", uid="lost")))
    seen.see_pod(of(pod(0, of="lost", leaves_at="2026-01-01T00:00:30Z")))  # on a node that died, perhaps
    seen.see_job(seen_job(job("queues", uid="queues", suspend=True)))
    seen.see_job(seen_job(job("done", uid="done", condition=("Complete", "", ""))))

    assert jobs_by_state(seen) == {"running": 1, "pending": 3}


async def test_a_launcher_counts_what_ends_while_it_looks_and_shows_every_outcome_from_the_start(
    tmp_path: Path,
) -> None:
    name, pods = "suti.jobs.attempts", "/api/v1/namespaces/suti/pods"
    small, before = SmallApi(), measured("suti.jobs.attempts", "suti.outcome")
    small.put(f"{pods}/old-0", pod(0, of="old", phase="Failed", exit_code=65))
    with serving(small) as address:
        api, template = KubernetesApi(Configuration(host=address)), JobTemplate(namespace="suti", image="x")
        jobs = KubernetesJobs(api, template, Store.open(f"file://{tmp_path}"), launcher="suti-experts")
        await jobs.recover()
        assert set(measured(name, "suti.outcome")) == set(AttemptOutcome)
        await jobs.start(JobSpec(name="work", command=("true",), indexes=(0, 1)))
        assert measured("suti.jobs.at.work", "suti.state")["pending"] == 1

        for index, (phase, code) in enumerate([("Failed", 143), ("Succeeded", 0)]):
            small.put(f"{pods}/work-{index}", pod(index))
            small.put(f"{pods}/work-{index}", pod(index, phase=phase, exit_code=code))

        await becomes(lambda: len(more(name, "suti.outcome", before)) >= 2, limit_s=10)
        await jobs.close()
    assert more(name, "suti.outcome", before) == {"preempted": 1, "succeeded": 1}
