"""One shard of an evaluation of subjects in the store: the work of one machine, in any process and any order."""

import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from suti.infra.store import Store
from suti.ml.evaluation.prompts import Prompt
from suti.ml.evaluation.protocols import named_protocol
from suti.stages.evaluation.drawings import Drawer, KeptDrawings
from suti.stages.evaluation.measuring import MeasuringModels
from suti.stages.evaluation.orders import EvaluationOrder, OrderedSubject, evaluation_prefix
from suti.stages.evaluation.plan import EvaluationPlan, PlannedSubject, System, freeze
from suti.stages.evaluation.rows import library_versions
from suti.stages.evaluation.subjects import EvaluationSubject
from suti.stages.evaluation.work import REAL_SHARD, EvaluationFolder, SubjectWork, shard_name
from suti.stages.generation.subjects import Subject, SubjectShelf


def evaluate_shard(
    store: Store,
    operation_id: str,
    *,
    order: EvaluationOrder,
    subject: OrderedSubject,
    prompt: Prompt | None,
    system: System,
    drawer: Drawer,
    models: MeasuringModels,
) -> None:
    """The rows of one prompt of one subject, or of its real pictures, are written; drawings are kept as they come.

    Raises:
        SubjectMissing: a subject was deleted.
        EvaluationChanged: models or subjects are not those that the evaluation began with.
    """
    prefix, shelf = evaluation_prefix(operation_id), SubjectShelf(store)
    plan = _plan(order, {one.subject_id: shelf.get(one.subject_id) for one in order.subjects}, system, models)
    freeze(plan, store, prefix=prefix)
    folder = EvaluationFolder(store, prefix)
    with _on_disk(shelf, shelf.get(subject.subject_id), plan) as found:
        work = SubjectWork(plan, found, models)
        if prompt is None:
            folder.keep(found.name, REAL_SHARD, work.real_rows())
        else:
            source = KeptDrawings(drawer, store, prefix=prefix, seed=plan.seed)
            folder.keep(found.name, shard_name(prompt), work.rows(prompt, source))


def _plan(
    order: EvaluationOrder, subjects: Mapping[str, Subject], system: System, models: MeasuringModels
) -> EvaluationPlan:
    prompts, protocol = order.prompt_set(), named_protocol(order.protocol)
    return EvaluationPlan(
        system=system,
        protocol=protocol,
        protocol_id=models.protocol_id(protocol),
        prompts=order.prompts,
        prompt_set=prompts,
        numbers=order.numbers,
        samples=order.samples,
        seed=order.seed,
        dino_sha256=models.dino.digest,
        clip_sha256=models.clip.digest,
        versions=library_versions(),
        subjects={
            one.subject_id: PlannedSubject(
                class_word=one.class_word,
                kind=prompts.kind_of(one.class_word),
                pictures=dict(zip(_names(subject := subjects[one.subject_id]), subject.pixels_sha256, strict=True)),
                shown=_names(subject),
            )
            for one in order.subjects
        },
    )


@contextmanager
def _on_disk(shelf: SubjectShelf, subject: Subject, plan: EvaluationPlan) -> Generator[EvaluationSubject]:
    """The subject as a folder of pictures, for as long as the block goes on."""
    planned = plan.subjects[subject.subject_id]
    with tempfile.TemporaryDirectory(prefix="suti-evaluation-") as folder:
        files: list[Path] = []
        for name, shown in zip(_names(subject), shelf.demonstrations(subject), strict=True):
            files.append(Path(folder) / name)
            files[-1].write_bytes(shown.png)
        yield EvaluationSubject(subject.subject_id, planned.class_word, planned.kind, tuple(files))


def _names(subject: Subject) -> tuple[str, ...]:
    return tuple(f"{index:02d}.png" for index in range(len(subject.pixels_sha256)))
