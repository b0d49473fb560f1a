"""The messages are those of Kubernetes 1.34, word by word."""

from datetime import UTC, datetime

import pytest

from suti.infra.jobs.kubernetes.explain import explain_job, slow_to_start
from suti.infra.jobs.kubernetes.seen import seen_job, seen_pod
from tests.unit.infra.jobs.kubernetes.api_objects import Object, job, pod

NEVER = (
    "0/3 nodes are available: 1 Insufficient memory, 3 Insufficient nvidia.com/gpu. no new claims to deallocate, "
    "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
)
BUSY = (
    "0/3 nodes are available: 3 Insufficient cpu. no new claims to deallocate, "
    "preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
)
MIXED = (
    "0/3 nodes are available: 3 Insufficient cpu. no new claims to deallocate, preemption: 0/3 nodes are available: "
    "1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod."
)
SELECTOR = (
    "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, "
    "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
)
QUOTA = (
    'Error creating: pods "work-0-x" is forbidden: exceeded quota: small, requested: requests.cpu=4, '
    "used: requests.cpu=0, limited: requests.cpu=1"
)
POLICY = (
    'Error creating: pods "work-0-x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation'
)


NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)
JUST_NOW, LONG_SINCE = "2026-01-01T00:09:30Z", "2026-01-01T00:01:00Z"
MOUNT = 'MountVolume.SetUp failed for volume "models": secret "models-key" not found'


def words(of: Object, *pods: Object, warnings: tuple[str, ...] = (), slow_start: str = "") -> str:
    seen = [found for one in pods if (found := seen_pod(one)) is not None]
    return explain_job(seen_job(of), seen, warnings, now=NOW, slow_start=slow_start)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (NEVER, "no node fits: not enough memory on 1 of 3 nodes and nvidia.com/gpu on 3 of 3 nodes"),
        (BUSY, "waits behind other pods: not enough cpu on 3 of 3 nodes just now"),
        (MIXED, "waits behind other pods: not enough cpu on 3 of 3 nodes just now"),
        (SELECTOR, "no node takes it"),
    ],
)
def test_what_the_scheduler_says_in_words(message: str, said: str) -> None:
    assert words(job(), pod(phase="Pending", unschedulable=message)).startswith(said)


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled_is_said(reason: str) -> None:
    told = 'Back-off pulling image "registry/none:1"'

    assert words(job(), pod(phase="Pending", waiting=(reason, told))) == (
        f"its image cannot be pulled ({told}): correct image or pull secret"
    )


@pytest.mark.parametrize(("warning", "said"), [(QUOTA, "a quota of the namespace"), (POLICY, "the namespace's Pod")])
def test_why_no_pod_could_be_made_comes_from_the_job_controller(warning: str, said: str) -> None:
    assert words(job(), warnings=(warning,)).startswith(said)
    assert "requests.cpu=1" in words(job(), warnings=(QUOTA,))


def test_a_suspended_job_names_its_queue() -> None:
    queued = job(suspend=True, queue="gpus")
    queued["spec"]["parallelism"] = 40
    assert "queue 'gpus' has not admitted it: all its 40 pods at once must fit into the quota" in words(queued)
    assert words(job(suspend=True)).startswith("suspended")


def test_many_pods_that_wait_for_the_same_are_counted() -> None:
    waiting = [pod(position, phase="Pending", unschedulable=BUSY) for position in range(3)]

    assert words(job(), *waiting).endswith("(3 pods)")


def test_a_pod_that_is_long_on_its_way_is_told_with_what_its_node_complains_of() -> None:
    making = ("ContainerCreating", "")
    pods = [
        pod(0, phase="Pending", waiting=making, created=LONG_SINCE),
        pod(1, phase="Pending", waiting=making, created=JUST_NOW),
        pod(2, phase="Pending", unschedulable=BUSY, created=LONG_SINCE),
    ]
    seen = [found for one in pods if (found := seen_pod(one)) is not None]

    assert [one.position for one in slow_to_start(seen, now=NOW)] == [0]
    assert f"its pod cannot start ({MOUNT}): correct its volumes" in words(job(), *pods, slow_start=MOUNT)


def test_a_deleted_pod_whose_node_never_says_that_it_ended_is_told() -> None:
    lost, leaving = pod(0, leaves_at=LONG_SINCE), pod(1, leaves_at=JUST_NOW)

    assert "node.kubernetes.io/out-of-service" in words(job(), lost, leaving)
    assert "(2 pods)" not in words(job(), lost, leaving)
    assert words(job(), leaving, pod(2, phase="Failed", exit_code=143, leaves_at=LONG_SINCE)) == ""


def test_what_runs_or_ended_waits_for_nothing() -> None:
    assert words(job(), pod()) == ""
    assert words(job(), pod(phase="Pending")) == ""  # on its way
    assert words(job(condition=("Complete", "", "")), warnings=(QUOTA,)) == ""
