"""Groupings as operations: a run's grouping is its own, told by the ledger and the dead letters."""

import asyncio

from google.longrunning.operations_pb2 import Operation
from google.rpc.code_pb2 import CANCELLED, FAILED_PRECONDITION

from suti.api.clustering.v1 import clustering_pb2 as pb
from suti.api.types.v1.types_pb2 import OperationProgress
from suti.core import keys
from suti.core.errors import PermanentError
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.bus.tickets import ShardTicket
from suti.infra.dead_letters import DeadLetters
from suti.infra.ledger import Ledger
from suti.infra.rpc.operations import PREFIX, OperationMissing
from suti.infra.store import Store
from suti.stages.drop_counts import read_drop_counts
from suti.stages.run_spec import load_run_spec
from suti.stages.shard_work import run_is_over

_OPERATION = f"{PREFIX}grouping-"


class GroupingInherited(PermanentError):
    """A child run has its parent's clusters, so there is nothing to group."""

    reason = "GROUPING_INHERITED"
    grpc_code = "FAILED_PRECONDITION"


class Groupings:
    """Starts groupings and tells of them; see `suti.infra.rpc.operations.Operations`."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._letters = DeadLetters(store)

    async def start(self, run_id: str) -> Operation:
        """The grouping of that run is in the queue, unless it is done. Raises ObjectMissing for an unknown run."""
        spec = await asyncio.to_thread(load_run_spec, self._store, run_id)
        if spec.parent_run_id:
            raise GroupingInherited(f"run {run_id} has the clusters of {spec.parent_run_id}: ask after that run")
        if not await asyncio.to_thread(Ledger(self._store, run_id).is_committed, Stage.GROUPING, 0):
            await self._bus.issue(ShardTicket(run_id=run_id, stage=Stage.GROUPING, shard=0))
        return await self.get(f"{_OPERATION}{run_id}")

    async def get(self, name: str) -> Operation:
        """The grouping as it stands."""
        return await asyncio.to_thread(self._read, name)

    async def cancel(self, name: str) -> None:
        """A grouping belongs to its run and cannot end without it."""
        raise GroupingInherited(f"{name} is a part of its run: cancel the run")

    def _read(self, name: str) -> Operation:
        run_id = name.removeprefix(_OPERATION)
        if run_id == name or not run_id.isalnum() or not self._store.exists(keys.run_spec(run_id)):
            raise OperationMissing(name)
        operation = Operation(name=name)
        ledger = Ledger(self._store, run_id)
        commit = ledger.find(Stage.GROUPING, 0)
        operation.metadata.Pack(OperationProgress(doing="grouping", unit="pages", done=0 if commit is None else 1))
        letters = self._letters.list(run_id=run_id, stage=Stage.GROUPING)
        if commit is not None:
            operation.done = True
            counts = commit.counts
            operation.response.Pack(
                pb.GroupingResult(
                    run_id=run_id,
                    shards=counts["shards"],
                    clusters=counts["clusters_out"],
                    pictures=counts["pictures_out"],
                    dropped=dict(read_drop_counts(ledger, commit)),
                )
            )
        elif letters:
            operation.done = True
            operation.error.code, operation.error.message = FAILED_PRECONDITION, letters[0].message
        elif run_is_over(self._store, run_id):
            operation.done = True
            operation.error.code, operation.error.message = CANCELLED, "the run is over: start a new one"
        return operation
