import time
from pathlib import Path

import pytest

from suti.infra.jobs.port import Progress
from suti.infra.jobs.store_progress import ProgressReader, ProgressWriter, progress_key
from suti.infra.store import Store
from tests.waiting import becomes

PREFIX = "jobs/suti-experts/job/"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"file://{tmp_path}/store")


async def test_what_a_job_said_last_is_what_its_launcher_reads(store: Store) -> None:
    writer = ProgressWriter(store, progress_key(PREFIX, 3), every_s=0.01)
    reader = ProgressReader(store, every_s=0.0)
    for step in range(5):
        writer.say(Progress(step, 5, "tuning"))
    await becomes(lambda: reader.read(PREFIX) == {3: Progress(4, 5, "tuning")}, limit_s=10)

    writer.say(Progress(5, 5, "drawn"))
    writer.close()

    assert reader.read(PREFIX) == {3: Progress(5, 5, "drawn")}


async def test_saying_the_same_again_is_a_sign_of_life_and_silence_is_none(store: Store) -> None:
    writer, reader = ProgressWriter(store, progress_key(PREFIX, 0), every_s=0.01), ProgressReader(store, every_s=0.0)
    writer.say(Progress(1, 2, ""))
    await becomes(lambda: 0 in reader.changes(PREFIX), limit_s=10)
    first = reader.changes(PREFIX)[0]

    time.sleep(0.1)  # noqa: ASYNC251 - the writer has a thread of its own
    assert reader.changes(PREFIX)[0] == first
    writer.say(Progress(1, 2, ""))
    await becomes(lambda: reader.changes(PREFIX)[0] > first, limit_s=10)
    writer.close()


def test_the_store_is_written_no_more_often_than_said(store: Store) -> None:
    writer = ProgressWriter(store, progress_key(PREFIX, 0), every_s=60.0)
    began = time.monotonic()
    for step in range(1000):
        writer.say(Progress(step, 1000, ""))

    assert time.monotonic() - began < 5
    writer.close()
    assert ProgressReader(store).read(PREFIX) == {0: Progress(999, 1000, "")}


def test_the_store_is_asked_no_more_often_than_said(store: Store) -> None:
    reader = ProgressReader(store, every_s=60.0)
    assert reader.read(PREFIX) == {}
    store.put(progress_key(PREFIX, 0), b'{"done": 1, "total": 2}')

    assert reader.read(PREFIX) == {}
    reader.drop(PREFIX)
    assert reader.read(PREFIX) == {0: Progress(1, 2, "")}


def test_what_cannot_be_read_is_nothing_said(store: Store) -> None:
    store.put(f"{PREFIX}000000.json", b"{")
    store.put(f"{PREFIX}000001.json", b'{"done": "many"}')
    store.put(f"{PREFIX}notes.txt", b"")

    assert ProgressReader(store).read(PREFIX) == {}


def test_a_forgotten_jobs_words_are_deleted(store: Store) -> None:
    store.put(progress_key(PREFIX, 0), b'{"done": 1, "total": 2}')
    reader = ProgressReader(store)
    reader.forget(PREFIX)

    assert list(store.list("jobs/")) == []


def test_a_store_that_is_away_is_no_reason_to_fail(tmp_path: Path) -> None:
    store = Store.open(f"file://{tmp_path}/store")
    (tmp_path / "store").rmdir()
    (tmp_path / "store").write_text("no folder")
    writer = ProgressWriter(store, progress_key(PREFIX, 0), every_s=0.01)

    writer.say(Progress(1, 2, ""))
    writer.close()
