"""An evaluation of subjects in the store, shard by shard: in any process and any order."""

import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

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
from suti.stages.generation.subjects import Subject, SubjectRepository

_KEPT: Final = 4  # subjects whose real pictures are held as looked at: tickets come in the order of subjects


class StoredEvaluation:
    """An evaluation as one process sees it: its plan frozen once, each subject looked at once for all its prompts.

    Safe to use from several threads: two that want the same subject at once look at it twice.

    Raises:
        SubjectMissing: a subject was deleted.
        EvaluationChanged: models or subjects are not those that the evaluation began with.
    """

    def __init__(
        self, store: Store, operation_id: str, *, order: EvaluationOrder, system: System, models: MeasuringModels
    ) -> None:
        self._store, self._models = store, models
        self._prefix, self._repository = evaluation_prefix(operation_id), SubjectRepository(store)
        subjects = {one.subject_id: self._repository.get(one.subject_id) for one in order.subjects}
        self._plan = _plan(order, subjects, system, models)
        freeze(self._plan, store, prefix=self._prefix)
        self._folder = EvaluationFolder(store, self._prefix)
        self._looked_at: dict[str, SubjectWork] = {}  # the last few

    def do_shard(self, subject: OrderedSubject, prompt: Prompt | None, drawer: Drawer) -> None:
        """The rows of one prompt of one subject, or of its real pictures, are written; drawings are kept as they come.

        Raises:
            SubjectMissing: the subject was deleted.
            EvaluationChanged: it is another model that draws by now.
            RetryableError: it cannot draw just now; what was drawn is kept.
        """
        work = self._work(self._repository.get(subject.subject_id))
        if prompt is None:
            self._folder.keep(subject.subject_id, REAL_SHARD, work.real_rows())
        else:
            source = KeptDrawings(drawer, self._store, prefix=self._prefix, seed=self._plan.seed)
            self._folder.keep(subject.subject_id, shard_name(prompt), work.rows(prompt, source))

    def _work(self, subject: Subject) -> SubjectWork:
        if (known := self._looked_at.get(subject.subject_id)) is not None:
            return known
        with _on_disk(self._repository, subject, self._plan) as found:
            work = SubjectWork(self._plan, found, self._models)
        for oldest in list(self._looked_at)[: 1 - _KEPT]:
            self._looked_at.pop(oldest, None)
        self._looked_at[subject.subject_id] = work
        return work


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
                captions=subject.captions,
            )
            for one in order.subjects
        },
    )


@contextmanager
def _on_disk(repository: SubjectRepository, subject: Subject, plan: EvaluationPlan) -> Generator[EvaluationSubject]:
    """The subject as a folder of pictures, for as long as the block goes on."""
    planned = plan.subjects[subject.subject_id]
    with tempfile.TemporaryDirectory(prefix="suti-evaluation-") as folder:
        files: list[Path] = []
        for name, shown in zip(_names(subject), repository.demonstrations(subject), strict=True):
            files.append(Path(folder) / name)
            files[-1].write_bytes(shown.png)
        yield EvaluationSubject(subject.subject_id, planned.class_word, planned.kind, tuple(files))


def _names(subject: Subject) -> tuple[str, ...]:
    return tuple(f"{index:02d}.png" for index in range(len(subject.pixels_sha256)))
