"""A model put to the test on subjects that nothing was trained on, in this process and without any service.

Legend: N pictures, K demonstrations, C channels, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field

from suti.core.seeds import derive_seed
from suti.local.demo.judge import Judged, SubjectJudge, opened, scores, share
from suti.local.demo.plan import ToyPlan
from suti.local.demo.unseen import Unseen, Wanted, stranger_renders, true_renders, unseen_subjects
from suti.ml.clip.encoder import ClipEncoder
from suti.ml.diffusion.latents import to_pictures
from suti.ml.diffusion.pixels import picture_to_tensor, tensor_to_picture
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.png import png_of
from suti.ml.subject.attention import SubjectContext
from suti.ml.subject.drawing import draw_subject_pictures, encode_subject
from suti.ml.subject.files import SubjectModel
from suti.report.facts import Bounds, ModelScores
from suti.stages.generation.painter import DrawingDiverged
from suti.stages.progress import Progress, silent


class ToyScores(BaseModel):
    """What an evaluation on toy subjects found: what `suti evaluate MODEL --out` writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 2
    model: str
    kind: str = Field(description="base, warmstart or apprentice; a base sees no demonstrations.")
    model_sha256: str
    clip_sha256: str = Field(description="The CLIP that CLIP-T and CLIP-I are measured with.")
    created_at: str = Field(description="RFC 3339.")
    seed: int
    subjects: int
    demonstrations: int = Field(description="Pictures that the model sees of each subject.")
    sampling: SamplingRecipe
    scores: ModelScores
    identified_16way_bounds: Bounds = Field(description="What true renders and renders of strangers get.")
    seconds: float


@dataclass(frozen=True)
class Verdict:
    """What the judges say."""

    scores: ModelScores
    bounds: Bounds
    judged: Sequence[Judged]  # every picture, so that two models can be compared pair by pair


def put_to_the_test(
    model: SubjectModel,
    plan: ToyPlan,
    *,
    sees_subjects: bool,
    sampling: SamplingRecipe,
    clip: ClipEncoder,
    progress: Progress = silent,
) -> Verdict:
    """Draw every prompt of every subject and judge the pictures; the same subjects, prompts and seeds as the demo's.

    Raises:
        DrawingDiverged: with this model and guidance, pictures overflow.
    """
    size_px = model.base.size_px
    subjects = unseen_subjects(
        plan.subjects,
        demonstrations=plan.demonstrations,
        prompts_each=plan.prompts_each,
        size_px=size_px,
        seed=plan.seed,
    )
    found = _Found([], [], [])
    progress(0, plan.pictures, "pictures drawn and judged")
    for unseen in subjects:
        context = _context(model, unseen) if sees_subjects else None
        for wanted in unseen.wanted:
            pngs = _draw(model, wanted, plan.pictures_each, subject=context, sampling=sampling)
            _judge(unseen, wanted, pngs, clip=clip, size_px=size_px, found=found)
            progress(len(found.judged), plan.pictures, "pictures drawn and judged")
    groups = [one.group for one in found.judged]
    bounds = Bounds(ceiling=share(found.true_ones, groups), floor=share(found.strangers, groups))
    return Verdict(scores(found.judged), bounds, found.judged)


@dataclass
class _Found:
    judged: list[Judged]
    true_ones: list[bool]
    strangers: list[bool]


def _context(model: SubjectModel, unseen: Unseen) -> SubjectContext:
    shown = unseen.demonstrations
    pictures_KCHW = torch.stack([picture_to_tensor(opened(one.png), model.base.size_px) for one in shown])
    return encode_subject(model, pictures_KCHW, [one.text for one in shown])


def _draw(
    model: SubjectModel, wanted: Wanted, count: int, *, subject: SubjectContext | None, sampling: SamplingRecipe
) -> list[bytes]:
    """Pictures of one prompt as PNG, with the seeds that the generation service would take."""
    drawn_NCHW = draw_subject_pictures(
        model,
        prompts=[wanted.text] * count,
        seeds=[derive_seed(wanted.seed, "generation", index) for index in range(count)],
        subject=subject,
        recipe=sampling,
    )
    pictures_NCHW = to_pictures(model.base, drawn_NCHW)
    if not bool(torch.isfinite(pictures_NCHW).all()):
        raise DrawingDiverged("a picture is not made of numbers: lower --guidance, or evaluate another model")
    return [png_of(tensor_to_picture(picture_CHW)) for picture_CHW in pictures_NCHW]


def _judge(
    unseen: Unseen, wanted: Wanted, pngs: Sequence[bytes], *, clip: ClipEncoder, size_px: int, found: _Found
) -> None:
    shown = [one.png for one in unseen.demonstrations]
    judge = SubjectJudge(unseen.subject, unseen.others, shown, clip=clip, group=unseen.name)
    renders_NCHW = torch.cat(
        [draw(unseen, wanted, len(pngs), size_px=size_px) for draw in (true_renders, stranger_renders)]
    )
    judged, identified = judge.judge({"model": pngs}, prompt=wanted.text, view=wanted.view, renders_NCHW=renders_NCHW)
    found.judged += judged["model"]
    found.true_ones += identified[: len(pngs)]
    found.strangers += identified[len(pngs) :]
