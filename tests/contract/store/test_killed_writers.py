"""A writer that is killed at any moment leaves nothing that a reader could take for a result."""

import multiprocessing
import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.infra.sweep import sweep_run


def test_a_writer_killed_between_parts_and_commit_leaves_no_commit_and_a_later_one_succeeds(opening: Any) -> None:
    context = multiprocessing.get_context("spawn")
    wrote = context.Event()
    worker = context.Process(target=write_and_wait, args=(opening.url, opening.keywords, wrote), daemon=True)
    worker.start()
    assert wrote.wait(timeout=60)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(timeout=30)
    ledger = Ledger(opening.open(), "run")

    assert ledger.find("experts", 0) is None
    assert ledger.commits("experts") == []

    draft = ledger.draft("experts", 0)
    draft.write("rows", b"whole")
    commit = draft.commit(counts={"rows": 1}, seconds=0.1)

    assert draft.won
    assert ledger.get("experts", 0) == commit
    assert ledger.read(commit.part("rows")) == b"whole"


def test_sweeping_takes_what_no_commit_names_and_leaves_the_rest(store: Store) -> None:
    ledger = Ledger(store, "run")
    draft = ledger.draft("experts", 0)
    draft.write("rows", b"whole")
    commit = draft.commit(counts={}, seconds=0.0)
    dead_beside = ledger.draft("experts", 0).write("rows", b"left by a zombie")
    dead_alone = ledger.draft("experts", 1).write("rows", b"left by a dead worker")
    store.put("runs/run/experts/000001/scratch/expert-0", b"to be resumed")
    now = datetime.now(UTC)

    assert sweep_run(store, "run", now=now) == []  # somebody may still be at work
    assert sorted(sweep_run(store, "run", now=now + timedelta(days=8))) == sorted([dead_beside.key, dead_alone.key])

    assert ledger.read(commit.part("rows")) == b"whole"
    assert store.exists("runs/run/experts/000001/scratch/expert-0")
    assert not store.exists(dead_alone.key)


def write_and_wait(url: str, keywords: dict[str, Any], wrote: Any) -> None:
    """Writes parts and then waits to be killed."""
    draft = Ledger(Store.open(url, **keywords), "run").draft("experts", 0)
    draft.write("rows", b"half")
    draft.write("pictures.tar", b"of it" * 1000)
    wrote.set()
    signal.pause()
