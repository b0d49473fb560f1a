"""A model of ours as a system under test, drawing in this process what the generation service would draw.

Legend: N pictures, K demonstrations, C channels, H height, W width.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from suti.core.seeds import derive_seed
from suti.ml.diffusion.latents import to_pictures
from suti.ml.diffusion.pixels import picture_to_tensor, tensor_to_picture
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.subject.attention import SubjectContext
from suti.ml.subject.drawing import draw_subject_pictures, encode_subject
from suti.ml.subject.files import SubjectModel
from suti.stages.evaluation.drawings import Outcome
from suti.stages.evaluation.plan import PlannedSubject
from suti.stages.evaluation.subjects import EvaluationSubject, open_picture
from suti.stages.generation.painter import DrawingDiverged

type Demonstrations = Callable[[EvaluationSubject], Sequence[tuple[Path, str]]]
"""Which pictures of a subject a system is shown, each with its caption."""


class ModelDrawer:
    """Draws with a model in memory. A subject is encoded once for all prompts that follow one another."""

    def __init__(
        self, model: SubjectModel, *, sampling: SamplingRecipe, sees_subjects: bool, demonstrations: Demonstrations
    ) -> None:
        self._model, self._sampling, self._sees = model, sampling, sees_subjects
        self._demonstrations = demonstrations
        self._encoded: tuple[str, SubjectContext] | None = None

    def draw(self, subject: EvaluationSubject, prompt: str, seeds: Sequence[int]) -> Iterator[Outcome]:
        """One outcome for each seed, in order: one that diverged costs no other its place."""
        drawn_NCHW = draw_subject_pictures(
            self._model,
            prompts=[prompt] * len(seeds),
            seeds=[derive_seed(seed, "generation", 0) for seed in seeds],  # as the service derives a picture's
            subject=self._context(subject) if self._sees else None,
            recipe=self._sampling,
        )
        pictures_NCHW = to_pictures(self._model.base, drawn_NCHW)
        for seed, picture_CHW in zip(seeds, pictures_NCHW, strict=True):
            if bool(torch.isfinite(picture_CHW).all()):
                yield seed, tensor_to_picture(picture_CHW)
            else:
                yield seed, DrawingDiverged("it is not made of numbers: lower --guidance, or evaluate another model")

    def _context(self, subject: EvaluationSubject) -> SubjectContext:
        if self._encoded is None or self._encoded[0] != subject.name:
            shown, size_px = self._demonstrations(subject), self._model.base.size_px
            pictures = [open_picture(path).image.convert("RGB") for path, _ in shown]
            pictures_KCHW = torch.stack([picture_to_tensor(picture, size_px) for picture in pictures])
            self._encoded = (subject.name, encode_subject(self._model, pictures_KCHW, [text for _, text in shown]))
        return self._encoded[1]


def demonstrations_of(subject: EvaluationSubject, planned: PlannedSubject) -> list[tuple[Path, str]]:
    """The subject's demonstrations with their captions, as they were planned."""
    captions = dict(zip(planned.shown, planned.captions, strict=True))
    return [(path, captions[path.name]) for path in subject.files if path.name in captions]
