"""What callers may do to runs: create, replay, cancel. Each is safe to repeat."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from suti.core import keys
from suti.core.errors import PermanentError
from suti.core.ids import new_run_id
from suti.core.records import Stage
from suti.infra.dead_letters import DeadLetter, DeadLetters
from suti.infra.requests import RequestLedger
from suti.infra.store import Store
from suti.stages.facts import FactsReader, dead_shards
from suti.stages.model_catalogue import ModelCatalogue
from suti.stages.outcome import find_outcome
from suti.stages.replays import ReplayOrder, child_of
from suti.stages.run_orders import RunOrder, freeze, write_run
from suti.stages.run_spec import RunSpec
from suti.stages.run_view import find_run
from suti.stages.shard_work import run_is_over


class RunOver(PermanentError):
    """Something was asked for that only a run that goes on can give."""

    reason: ClassVar[str] = "RUN_OVER"
    grpc_code = "FAILED_PRECONDITION"


class Runs:
    """Writes to the store alone; calls block. The controller sees to what follows."""

    def __init__(self, store: Store, catalogue: ModelCatalogue, *, crawl_roots: Sequence[str]) -> None:
        self._store = store
        self._catalogue = catalogue
        self._crawl_roots = crawl_roots
        self._requests = RequestLedger(store, "pipeline")
        self._letters = DeadLetters(store)

    def create(self, order: RunOrder, *, request_id: str, body_sha256: str) -> str:
        """The id of the run that was made for this request, now or before. Raises as `freeze` does."""

        def spec(run_id: str) -> RunSpec:
            return freeze(
                order,
                run_id=run_id,
                created_at=datetime.now(UTC),
                catalogue=self._catalogue,
                crawl_roots=self._crawl_roots,
            )

        return self._once(spec, request_id=request_id, body_sha256=body_sha256)

    def replay(self, parent_run_id: str, order: ReplayOrder, *, request_id: str, body_sha256: str) -> str:
        """The id of the child run that was made for this request, now or before. Raises as `child_of` does."""
        parent = find_run(self._store, parent_run_id)

        def spec(run_id: str) -> RunSpec:
            facts = FactsReader(self._store).read(parent, dead=dead_shards(self._letters))
            return child_of(parent, facts, order, run_id=run_id, created_at=datetime.now(UTC))

        return self._once(spec, request_id=request_id, body_sha256=body_sha256)

    def cancel(self, run_id: str, *, reason: str) -> bool:
        """The run is to stop; True if that is new. Harmless on a run that has ended. Raises NotFound."""
        find_run(self._store, run_id)
        if find_outcome(self._store, run_id) is not None:
            return False
        note = {"at": datetime.now(UTC).isoformat(), "reason": reason}
        return self._store.create(keys.run_cancelled(run_id), json.dumps(note).encode())

    def check_replay(self, letter: DeadLetter) -> None:
        """Does nothing for a letter whose work somebody still wants. Raises RunOver, NotFound (the run was deleted)."""
        if letter.stage not in set(Stage) or not letter.run_id:
            return  # a batch's
        find_run(self._store, letter.run_id)
        if run_is_over(self._store, letter.run_id):
            raise RunOver(
                f"run {letter.run_id} is over, nobody would work on its ticket: start a new run, drop the letter"
            )

    def bury(self, letter: DeadLetter) -> None:
        """The letter is gone for good, and its shard counts as dead."""
        if letter.run_id:
            key = keys.dead_shard(letter.run_id, letter.stage, letter.shard)
            self._store.create(key, json.dumps({"reason": letter.reason, "message": letter.message}).encode())
        self._letters.drop(letter.letter_id)

    def _once(self, spec: Callable[[str], RunSpec], *, request_id: str, body_sha256: str) -> str:
        """Records the run's id before the run is written, so that a repeated call finishes what a dead one began."""
        found = self._requests.find(request_id, body_sha256=body_sha256)
        run_id = found.decode() if found is not None else new_run_id()
        if found is not None and self._store.exists(keys.run_spec(run_id)):
            return run_id
        frozen = spec(run_id)  # refuses before anything is written
        standing = self._requests.record(request_id, body_sha256, run_id.encode()).decode()
        write_run(self._store, frozen.model_copy(update={"run_id": standing}))
        return standing
