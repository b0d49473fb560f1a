"""Of any number of racing writers exactly one wins, on every store."""

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from suti.infra.ledger import Commit, Ledger
from suti.infra.requests import RequestLedger
from suti.infra.store import Store, StoreUnavailable

WRITERS = 32
ROUNDS = 5
REQUEST_ID = "6f1c2c9e-6f55-4d44-9d5e-5a3a8ad0c0de"


def test_of_32_racing_writers_exactly_one_creates_the_object(store: Store) -> None:
    start = threading.Barrier(WRITERS)

    def race(round_: int, writer: int) -> bool | None:
        start.wait(timeout=30)
        try:
            return store.create(f"race/{round_}", b"%d" % writer)
        except StoreUnavailable:
            return None  # a busy server cut the connection: whether this writer won is for the store to say

    with ThreadPoolExecutor(WRITERS) as pool:
        for round_ in range(ROUNDS):
            told = list(pool.map(race, [round_] * WRITERS, range(WRITERS)))

            kept = int(store.get(f"race/{round_}"))
            assert [writer for writer, won in enumerate(told) if won] in ([kept], [])
            assert told[kept] is not False


def test_of_32_racing_drafts_one_is_the_commit_and_only_its_parts_remain(open_again: Callable[[], Store]) -> None:
    start = threading.Barrier(WRITERS)

    def race(writer: int) -> tuple[bool, Commit]:
        draft = Ledger(open_again(), "run").draft("experts", 3, fence="lease")  # a redelivered lease: all the same
        draft.write("rows.parquet", b"%d" % writer)
        start.wait(timeout=30)
        commit = draft.commit(counts={"writer": writer}, seconds=1.0)
        return draft.won, commit

    with ThreadPoolExecutor(WRITERS) as pool:
        ended = list(pool.map(race, range(WRITERS)))

    ledger = Ledger(open_again(), "run")
    winner = [writer for writer, (won, _) in enumerate(ended) if won]
    assert len(winner) == 1
    assert all(commit == ledger.get("experts", 3) for _, commit in ended)
    assert ledger.get("experts", 3).counts == {"writer": winner[0]}
    assert ledger.read(ledger.get("experts", 3).part("rows.parquet")) == b"%d" % winner[0]
    assert len(list(ledger.store.list("runs/run/experts/"))) == 2  # the commit and its part


def test_of_8_racing_processes_exactly_one_commits(opening: Any) -> None:
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(9), context.Queue()
    workers = [
        context.Process(target=commit_once, args=(opening.url, opening.keywords, writer, ready, results), daemon=True)
        for writer in range(8)
    ]
    for worker in workers:
        worker.start()
    ready.wait(timeout=60)
    ended = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(timeout=30)

    winners = [writer for writer, won in ended if won]
    assert len(winners) == 1
    assert Ledger(opening.open(), "run").get("selection", 0).counts == {"writer": winners[0]}
    assert len(list(opening.open().list("runs/"))) == 2


def commit_once(url: str, keywords: dict[str, Any], writer: int, ready: Any, results: Any) -> None:
    """One process' part in the race."""
    draft = Ledger(Store.open(url, **keywords), "run").draft("selection", 0)
    draft.write("rows", b"%d" % writer)
    ready.wait(timeout=60)
    draft.commit(counts={"writer": writer}, seconds=0.0)
    results.put((writer, draft.won))


def test_of_racing_answers_to_one_request_all_callers_get_the_same(open_again: Callable[[], Store]) -> None:
    start = threading.Barrier(8)

    def race(writer: int) -> bytes:
        requests = RequestLedger(open_again(), "generation")
        start.wait(timeout=30)
        return requests.record(REQUEST_ID, "body", b"%d" % writer)

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(race, range(8)))

    assert len(answers) == 1
    assert answers == {RequestLedger(open_again(), "generation").find(REQUEST_ID, body_sha256="body")}
