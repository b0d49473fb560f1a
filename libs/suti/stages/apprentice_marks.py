"""A training's checkpoints in the store: the latest counts, the ones before it are deleted."""

from suti.core.records import LossRow
from suti.infra.store import ObjectMissing, Store
from suti.infra.tables import TableUnreadable, from_parquet, to_parquet
from suti.ml.apprentice.checkpoints import CheckpointInvalid, restore, take_checkpoint
from suti.ml.apprentice.training import Trainer
from suti.stages.apprentice_steps import STATE_SUFFIX, marked_steps

_LOSSES = ".losses.parquet"


class TrainingMarks:
    """One training's checkpoints below a key prefix. `training` names what it learns from and starts with.

    A checkpoint is two objects, the losses so far and then the state, so that a state is never without its losses.
    """

    def __init__(self, store: Store, prefix: str, *, training: str) -> None:
        self._store = store
        self._prefix = prefix
        self._folder = f"{prefix}{training}/"

    def put(self, trainer: Trainer, losses: list[float]) -> None:
        """The training goes on from here, whatever happens. All processes of a gang call it together."""
        if not trainer.gang.first:
            if trainer.gang.sharing == "fsdp2":
                take_checkpoint(trainer)  # the first one's needs what this one holds
            return
        before = [info.key for info in self._store.list(self._prefix)]
        at = self._key(trainer.step)
        rows = [LossRow("", step, loss) for step, loss in enumerate(losses, start=1)]
        self._store.put(f"{at}{_LOSSES}", to_parquet(rows, LossRow))
        self._store.put(f"{at}{STATE_SUFFIX}", take_checkpoint(trainer).data)
        for key in before:
            if not key.startswith(at):
                self._store.delete(key)

    def restore(self, trainer: Trainer) -> list[float]:
        """Puts a new trainer where the latest readable checkpoint was; the losses up to there. None: the start."""
        for step in sorted(marked_steps(self._store, self._folder), reverse=True):
            try:
                rows = from_parquet(self._store.get(f"{self._key(step)}{_LOSSES}"), LossRow)
                restore(trainer, self._store.get(f"{self._key(step)}{STATE_SUFFIX}"))
            except (ObjectMissing, TableUnreadable, CheckpointInvalid):  # cut short on its way to the store
                continue
            return [row.loss for row in rows]
        return []

    def clear(self) -> None:
        """Delete everything; after the commit nobody needs it."""
        for info in self._store.list(self._prefix):
            self._store.delete(info.key)

    def _key(self, step: int) -> str:
        return f"{self._folder}{step:09d}"
