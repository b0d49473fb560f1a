import json

from suti.infra.jobs.kubernetes.seen import Seen, SeenPod, seen_job, seen_pod
from suti.infra.jobs.kubernetes.standing import job_status
from suti.infra.jobs.port import IndexStatus, JobState, JobStatus
from tests.unit.infra.jobs.kubernetes.api_objects import Object, job, pod

LEFT = json.dumps({"reason": "BAD_PICTURES", "message": "shard 1 is broken: drop it"})


def status(of: Object, *pods: Object) -> JobStatus:
    seen = Seen()
    seen.see_job(seen_job(of))
    for one in pods:
        found = seen_pod(one)
        assert found is not None
        seen.see_pod(found)
    found_job = seen.job("work")
    assert found_job is not None
    return job_status(found_job, seen.pods("work"))


def test_a_job_without_pods_is_pending_and_one_with_a_running_pod_runs() -> None:
    assert status(job()).state is JobState.PENDING
    assert status(job(), pod(phase="Pending")).state is JobState.PENDING

    running = status(job(), pod(1))

    assert running.state is JobState.RUNNING
    assert [one.state for one in running.indexes.values()] == [JobState.PENDING, JobState.RUNNING, JobState.PENDING]


def test_indexes_are_the_ports_own_numbers() -> None:
    found = status(job(indexes="3,7,9", completed="1"), pod(1, phase="Succeeded", exit_code=0, failures=1))

    assert list(found.indexes) == [3, 7, 9]
    assert found.indexes[7] == IndexStatus(JobState.SUCCEEDED, exit_code=0, attempts=2)


def test_a_failed_index_tells_what_its_process_left() -> None:
    found = status(
        job(completed="0,2", failed="1", condition=("Failed", "FailedIndexes", "Job has failed indexes")),
        pod(1, phase="Failed", exit_code=65, told=LEFT),
    )

    assert found.state is JobState.FAILED
    assert found.message == "1 of 3 indexes failed"
    assert found.indexes[1] == IndexStatus(JobState.FAILED, 65, 1, "BAD_PICTURES", "shard 1 is broken: drop it")


def test_an_index_that_left_no_word_is_named_by_its_code_and_shows_the_end_of_its_log() -> None:
    found = status(job(failed="0-1"), pod(0, phase="Failed", exit_code=1, told="Traceback\nboom\n", failures=2),
                   pod(1, phase="Failed", exit_code=137))  # fmt: skip

    assert found.indexes[0] == IndexStatus(JobState.FAILED, 1, 3, "EXIT_1", "Traceback\nboom")
    assert (found.indexes[1].reason, found.indexes[1].exit_code) == ("KILLED", 137)


def test_a_pod_that_its_node_evicted_tells_the_nodes_reason_and_not_its_last_line_of_log() -> None:
    told = "Usage of EmptyDir volume exceeds the limit 20Gi"

    found = status(job(failed="0"), pod(0, phase="Failed", exit_code=137, told="step 12 of 60", evicted=told))

    assert (found.indexes[0].exit_code, found.indexes[0].reason) == (137, "KILLED")
    assert found.indexes[0].message == f"its node evicted it: {told}"


def test_being_stopped_counts_no_attempt_by_code_or_by_condition() -> None:
    stopped = status(
        job(), pod(0, phase="Failed", exit_code=143), pod(1, phase="Failed", exit_code=137, disrupted=True)
    )

    assert [(one.state, one.attempts) for one in stopped.indexes.values()] == [(JobState.PENDING, 0)] * 3


def test_bad_configuration_ends_the_job_and_is_told_first() -> None:
    left = json.dumps({"reason": "NO_MODEL", "message": "set one"})
    found = status(
        job(completed="0", condition=("Failed", "PodFailurePolicy", "Container job failed with exit code 78")),
        pod(1, phase="Failed", exit_code=78, told=left),
        pod(2, phase="Failed", exit_code=143),
    )

    assert (found.state, found.message) == (JobState.FAILED, "index 1: NO_MODEL: set one")
    assert [one.state for one in found.indexes.values()] == [JobState.SUCCEEDED, JobState.FAILED, JobState.FAILED]
    assert [one.reason for one in found.indexes.values()] == ["", "NO_MODEL", "JOB_FAILED"]


def test_a_deadline_of_its_own_is_a_failure_and_ours_a_cancellation() -> None:
    over = ("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")

    late, cancelled = status(job(condition=over)), status(job(condition=over, cancelled=True))

    assert (late.state, late.indexes[0].reason) == (JobState.FAILED, "DEADLINE_EXCEEDED")
    assert (cancelled.state, cancelled.indexes[0].state) == (JobState.CANCELLED, JobState.CANCELLED)


def test_what_succeeded_before_it_could_be_cancelled_succeeded() -> None:
    done = job(completed="0-2", condition=("Complete", "CompletionsReached", ""), cancelled=True)

    assert status(done).state is JobState.SUCCEEDED


def test_a_suspended_job_that_somebody_cancelled_will_not_run() -> None:
    assert status(job(suspend=True, cancelled=True)).state is JobState.CANCELLED
    assert status(job(suspend=True)).state is JobState.PENDING


def test_a_later_pod_of_an_index_replaces_the_earlier_and_not_the_other_way_round() -> None:
    first = pod(0, phase="Failed", exit_code=1)
    second = pod(0, phase="Running", failures=1, created="2026-01-01T00:00:11Z", version=2)

    for order in ((first, second), (second, first)):
        assert status(job(), *order).indexes[0] == IndexStatus(JobState.RUNNING, attempts=1)


def test_how_a_deleted_pod_ended_is_remembered_while_its_job_is_there() -> None:
    seen = Seen()
    seen.see_job(seen_job(job(completed="0")))
    done, gone = seen_pod(pod(0, phase="Succeeded", exit_code=0, failures=1)), seen_pod(pod(1))
    assert done is not None
    assert gone is not None
    for one in (done, gone):
        seen.see_pod(one)
        seen.lose_pod(one)

    assert list(seen.pods("work")) == [0]
    seen.lose_job("work", "job-1")
    assert seen.pods("work") == {}


def test_a_list_drops_what_is_gone_and_keeps_what_was_seen_after_it() -> None:
    seen = Seen()
    for name, version in (("old", 3), ("kept", 4), ("just-made", 9)):
        seen.see_job(seen_job(job(name, version=version)))
        found = seen_pod(pod(0, of=name, version=version))
        assert found is not None
        seen.see_pod(found)

    seen.only_jobs([seen_job(job("kept", version=4))], version=7)
    seen.only_pods(list(seen.pods("kept").values()), version=7)

    assert [one.name for one in seen.jobs()] == ["just-made", "kept"]
    assert [len(seen.pods(name)) for name in ("old", "kept", "just-made")] == [0, 1, 1]


def test_an_old_sight_of_a_job_does_not_hide_a_new_one() -> None:
    seen = Seen()
    seen.see_job(seen_job(job(version=5, completed="0")))
    seen.see_job(seen_job(job(version=4)))

    found = seen.job("work")

    assert found is not None
    assert found.succeeded_at == "0"


def test_ten_thousand_pods_are_remembered_in_little_memory() -> None:
    import tracemalloc  # noqa: PLC0415

    def seen_anew(position: int) -> SeenPod:
        found = seen_pod(pod(position, phase="Succeeded", exit_code=0))
        assert found is not None
        return found

    tracemalloc.start()
    seen = Seen()
    for position in range(10_000):
        seen.see_pod(seen_anew(position))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size < 20 * 2**20
