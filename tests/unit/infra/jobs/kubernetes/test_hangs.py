import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from suti.infra.jobs.kubernetes.hangs import Hangs, Replaced, Silences
from suti.infra.jobs.kubernetes.seen import Seen, SeenPod, seen_job, seen_pod
from suti.infra.jobs.store_progress import ProgressReader
from suti.infra.store import Store
from tests.unit.infra.jobs.kubernetes.api_objects import job, pod
from tests.waiting import becomes

TEN: dict[str, float] = dict.fromkeys(("a", "b", "first", "second"), 10.0)
THEN, LATER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def test_a_pod_hangs_once_it_said_nothing_for_the_limit() -> None:
    silences = Silences()

    assert silences.hanging({"a": THEN, "b": None}, now_s=0, limits_s=TEN) == []
    assert silences.hanging({"a": THEN, "b": None}, now_s=10, limits_s=TEN) == []
    assert silences.hanging({"a": LATER, "b": None}, now_s=11, limits_s=TEN) == ["b"]
    assert silences.hanging({"a": LATER}, now_s=22, limits_s=TEN) == ["a"]


def test_a_pod_that_replaces_another_has_its_time() -> None:
    silences = Silences()
    silences.hanging({"first": THEN}, now_s=0, limits_s=TEN)

    # What is read is still what the first one said.
    assert silences.hanging({"second": THEN}, now_s=20, limits_s=TEN) == []
    assert silences.hanging({"second": THEN}, now_s=31, limits_s=TEN) == ["second"]


def seen(name: str, position: int = 0, *, failures: int = 0) -> SeenPod:
    found = seen_pod(pod(position, name=name, failures=failures))
    assert found is not None
    return found


def test_only_what_costs_no_attempt_counts_as_replaced_for_nothing() -> None:
    replaced = Replaced()
    for times, name in enumerate(("first", "second", "third")):
        assert replaced.for_nothing(seen(name)) == times
        for _ in range(2):  # the second time because its deletion did not work
            replaced.add(seen(name))
            assert replaced.for_nothing(seen(name)) == times

    assert replaced.for_nothing(seen("other", 1)) == 0  # another index
    assert replaced.for_nothing(seen("fourth", failures=1)) == 0  # the third was killed, and that was an attempt
    replaced.keep(set())
    assert replaced.for_nothing(seen("fourth")) == 0


class Controller:
    """Deletes a pod, and makes another that says nothing either; remembers when."""

    def __init__(self, found: Seen) -> None:
        self._seen = found
        self.deleted_at: list[float] = []
        self.make()

    def make(self) -> None:
        number = len(self.deleted_at)
        created = f"2026-01-01T00:00:{number:02}Z"
        made = seen_pod(pod(0, name=f"pod-{number}", version=number + 1, created=created))
        assert made is not None
        self._seen.see_pod(made)

    def delete(self, _: SeenPod) -> None:
        self.deleted_at.append(time.monotonic())
        self.make()


async def watching(tmp_path: Path, found: Seen, delete: Callable[[SeenPod], None], *, limit_s: float) -> None:
    progress = ProgressReader(Store.open(f"file://{tmp_path}"))
    await Hangs(found, progress, lambda name: f"jobs/{name}/", delete, limit_s=limit_s).watch()


async def test_who_hears_that_it_shall_end_may_be_silent_for_twice_as_long_the_next_time(tmp_path: Path) -> None:
    found = Seen()
    found.see_job(seen_job(job(indexes="0")))
    controller = Controller(found)
    looking = asyncio.create_task(watching(tmp_path, found, controller.delete, limit_s=0.2))
    await becomes(lambda: len(controller.deleted_at) == 4, limit_s=30)
    looking.cancel()

    first, second, third, fourth = controller.deleted_at
    assert second - first > 2 * 0.2
    assert third - second > 4 * 0.2
    assert fourth - third > 8 * 0.2


async def test_a_fault_that_nobody_thought_of_does_not_end_the_watch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = Seen()
    found.see_job(seen_job(job(indexes="0")))
    found.see_pod(seen("silent"))
    asked: list[str] = []

    def delete(one: SeenPod) -> None:
        asked.append(one.name)
        raise KeyError(one.name)

    looking = asyncio.create_task(watching(tmp_path, found, delete, limit_s=0.1))
    await becomes(lambda: len(asked) >= 3, limit_s=30)
    assert not looking.done()
    looking.cancel()

    assert "cannot see which pods hang" in caplog.text
