"""The apprentice of a run: trained on all that was kept, stopped and killed at will, one model in the end."""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from opentelemetry import trace

from suti.core import keys
from suti.core.errors import BadConfiguration, InvalidArgument
from suti.core.records import DropRow, LossRow, Stage
from suti.core.seeds import derive_seed
from suti.infra.ledger import Commit, Draft, Ledger
from suti.infra.tables import to_parquet
from suti.ml.apprentice.gang import Gang, PeerLost, whole
from suti.ml.apprentice.training import ALONE, Trainer
from suti.ml.diffusion.schedule import NoiseSchedule
from suti.ml.subject.files import SubjectModel, load_subject_model, save_subject_model
from suti.stages.apprentice_examples import KeptExamples, build_example_set, read_examples
from suti.stages.apprentice_marks import TrainingMarks
from suti.stages.digest import dataset_digest
from suti.stages.models import ModelFolders
from suti.stages.outcome import judged_candidates
from suti.stages.progress import Preempted, Progress, Stopping, never, silent
from suti.stages.run_spec import ModelRef, RunSpec

MODEL = "model/"  # the trained model's folder within the commit's parts
CARD = "card.json"
LOSSES = "losses.parquet"

_RECENT_STEPS = 100

_tracer = trace.get_tracer("suti.stages")


class NoWarmStart(BadConfiguration):
    """The recipe starts from a warm start, and the run names none."""

    reason = "NO_WARM_START"


class ApprenticeModels(Protocol):
    """Where this stage finds what it starts from; `suti.stages.models.StageModels` says so."""

    @property
    def folders(self) -> ModelFolders: ...  # noqa: D102 - see StageModels
    @property
    def device(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class _Trained:
    model: SubjectModel
    losses: Sequence[float]


def run_shard(
    ledger: Ledger,
    spec: RunSpec,
    models: ApprenticeModels,
    shard: int = 0,
    *,
    progress: Progress = silent,
    fence: str | None = None,
    stopping: Stopping = never,
    gang: Gang = ALONE,
) -> Commit:
    """Train the run's one apprentice on every kept example and keep the average of its weights as the model.

    Every `checkpoint_steps`, and when asked to stop, a checkpoint is marked in the store; the same call goes on from
    it, bit for bit as if nothing had happened. Sets torch's number of threads for the whole process, as the run's
    environment says.

    Parts: `model/...` (a folder for `load_subject_model`), `losses.parquet` (LossRow without cluster), `card.json`,
    `drops.parquet` (DropRow: examples that a tombstone covers). Counts: items_in are kept examples, items_out the one
    model; `steps` and `clusters_in` beside them.

    Every process of a `gang` calls this; the first one alone writes and tells, and all get its commit.

    Raises:
        NoExamples: nothing was kept.
        NoWarmStart: the recipe wants one and the run names none.
        Preempted: `stopping` said so, in this process or another of the gang.
        PeerLost: another process of the gang is gone.
        TrainingDiverged: a loss or its gradient is not finite; the same run would end there again.
    """
    if shard != 0:
        raise InvalidArgument("shard", f"{shard}: a run has one apprentice, shard 0")
    started = time.monotonic()
    torch.set_num_threads(spec.environment.torch_threads)
    progress(0, spec.apprentice.steps, "reading examples")
    examples = read_examples(ledger.store, spec)
    start = starting_model(spec)
    marks = TrainingMarks(
        ledger.store,
        keys.scratch(ledger.run_id, Stage.APPRENTICE, shard, ""),
        training=f"{examples.digest()[:16]}-{start.sha256[:16]}",
    )
    if not gang.first:
        progress = silent
    trained = _train(ledger, spec, models, examples, marks, progress=progress, stopping=stopping, gang=gang)
    if not gang.first:
        gang.meet()
        return ledger.get(Stage.APPRENTICE, shard)
    final_loss = mean_of_last_tenth(trained.losses)
    data_set = dataset_digest(judged_candidates(ledger.store, spec))
    card = _card(spec, start, examples, final_loss=final_loss, data_set=data_set)
    draft = ledger.draft(Stage.APPRENTICE, shard, fence=fence)
    _write_model(draft, trained.model)
    rows = [LossRow("", step, loss) for step, loss in enumerate(trained.losses, start=1)]
    draft.write(LOSSES, to_parquet(rows, LossRow))
    draft.write("drops.parquet", to_parquet(examples.drops, DropRow))
    draft.write(CARD, json.dumps(card, indent=1, sort_keys=True, ensure_ascii=False).encode())
    counts = {
        "items_in": examples.count + len(examples.drops),
        "items_out": 1,
        "dropped": len(examples.drops),
        "clusters_in": len(examples.clusters),
        "steps": spec.apprentice.steps,
    }
    details = {
        "dataset_digest": data_set,
        "final_loss": repr(final_loss),
        "examples_digest": examples.digest(),
        "device": torch.device(models.device).type,
    }
    commit = draft.commit(counts=counts, seconds=time.monotonic() - started, details=details)
    marks.clear()
    gang.meet()
    return commit


def starting_model(spec: RunSpec) -> ModelRef:
    """The model that training begins with. Raises NoWarmStart."""
    if spec.apprentice.start == "base":
        return spec.models.base
    if spec.models.warmstart is None:
        raise NoWarmStart("apprentice.start is 'warmstart' and the run names none: name one, or start from 'base'")
    return spec.models.warmstart


def materialise_model(ledger: Ledger, commit: Commit, folder: Path) -> None:
    """Write a committed apprentice into a folder for `load_subject_model`. Raises PartCorrupt, ObjectMissing."""
    for part in commit.parts:
        if part.name.startswith(MODEL):
            path = folder / part.name.removeprefix(MODEL)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(ledger.read(part))


def mean_of_last_tenth(losses: Sequence[float]) -> float:
    """The mean over the last tenth of the steps, one step at least."""
    last = losses[-max(1, len(losses) // 10) :]
    return sum(last) / len(last)


def _train(
    ledger: Ledger,
    spec: RunSpec,
    models: ApprenticeModels,
    examples: KeptExamples,
    marks: TrainingMarks,
    *,
    progress: Progress,
    stopping: Stopping,
    gang: Gang,
) -> _Trained:
    recipe = spec.apprentice
    model = _begin(spec, models, gang)
    model.network.requires_grad_(requires_grad=True)
    trainer = Trainer(
        model.network,
        NoiseSchedule.from_config(model.base.scheduler_config),
        build_example_set(ledger.store, spec, model.base, examples),
        recipe=recipe,
        seed=derive_seed(spec.seed, Stage.APPRENTICE, "training"),
        gang=gang,
    )
    losses = marks.restore(trainer)
    if gang.sum(trainer.step)[0] != trainer.step * gang.size:
        raise PeerLost("the processes found different checkpoints, one being written just then: they look again")
    while trainer.step < recipe.steps:
        if gang.sum(float(stopping()))[0] > 0:
            marks.put(trainer, losses)
            gang.meet()
            raise Preempted("the apprentice's training")
        losses.append(trainer.advance())
        recent = losses[-_RECENT_STEPS:]
        progress(trainer.step, recipe.steps, f"loss {sum(recent) / len(recent):.5f}")
        if trainer.step % recipe.checkpoint_steps == 0 and trainer.step < recipe.steps:
            marks.put(trainer, losses)
    averaged = {name: whole(value) for name, value in trainer.average.weights.items()}
    if gang.size > 1 and gang.first:
        model = _begin(spec, models, gang)  # whole, where the trained one may be spread over all
    for name, parameter in model.network.named_parameters() if gang.first else ():
        parameter.data.copy_(averaged[name])
    return _Trained(model, losses)


def _begin(spec: RunSpec, models: ApprenticeModels, gang: Gang) -> SubjectModel:
    with torch.random.fork_rng(devices=[]):
        # A plain base gets new attention, whose first weights are random numbers as well.
        torch.manual_seed(derive_seed(spec.seed, Stage.APPRENTICE, "attention"))
        device = models.device if gang.size == 1 else gang.device
        with _tracer.start_as_current_span(f"load {spec.apprentice.start}"):
            return load_subject_model(models.folders.folder(starting_model(spec)), device=device)


def _write_model(draft: Draft, model: SubjectModel) -> None:
    """One part per file, so that none grows with the others."""
    with tempfile.TemporaryDirectory(prefix="suti-apprentice-") as scratch:
        folder = Path(scratch) / "apprentice"
        save_subject_model(model, folder)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                draft.write(f"{MODEL}{path.relative_to(folder).as_posix()}", path.read_bytes())


def _card(
    spec: RunSpec, start: ModelRef, examples: KeptExamples, *, final_loss: float, data_set: str
) -> Mapping[str, object]:
    """What people want to know of the model, without looking at the run."""
    return {
        "run_id": spec.run_id,
        "base": spec.models.base.model_dump(),
        "start": start.model_dump(),
        "examples": examples.count,
        "clusters": len(examples.clusters),
        "steps": spec.apprentice.steps,
        "recipe": spec.apprentice.model_dump(mode="json"),
        "final_loss": final_loss,
        "dataset_digest": data_set,
    }
