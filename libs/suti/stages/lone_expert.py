"""One expert outside of any run: tuned on what a caller sent, drawing what the caller asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from suti.core.seeds import derive_seed
from suti.ml.diffusion.base import Base
from suti.ml.diffusion.pixels import picture_to_tensor, tensor_to_picture
from suti.ml.experts.drawing import Order, draw_candidates
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.experts.tuning import tune_expert
from suti.ml.experts.weights import expert_files
from suti.stages.progress import Preempted, Progress, Stopping, never, silent


@dataclass(frozen=True)
class LoneCandidate:
    """One picture that was drawn."""

    prompt: str
    sample: int
    seed: int
    picture: Image.Image


@dataclass(frozen=True)
class LoneExpert:
    """What came of it."""

    candidates: Sequence[LoneCandidate]  # prompt by prompt
    losses: Sequence[float]
    files: dict[str, bytes]  # weights, where the recipe keeps them


def tune_and_draw(
    base: Base,
    pictures: Sequence[Image.Image],
    captions: Sequence[str],
    prompts: Sequence[str],
    *,
    recipe: ExpertRecipe,
    seed: int,
    progress: Progress = silent,
    stopping: Stopping = never,
) -> LoneExpert:
    """Tune an expert and draw every prompt; the same arguments give the same pictures.

    Raises:
        ExpertDiverged: the recipe makes no sense for these pictures.
        Preempted: `stopping` said so; nothing is kept.
    """
    total = recipe.steps + recipe.sampling.steps

    def report(done: int, doing: str) -> None:
        if stopping():
            raise Preempted("an expert's tuning")
        progress(done, total, doing)

    pictures_PCHW = torch.stack([picture_to_tensor(picture, base.size_px) for picture in pictures]).to(base.device)
    expert = tune_expert(
        base,
        pictures_PCHW,
        list(captions),
        recipe=recipe,
        seed=derive_seed(seed, "lone expert", "tuning"),
        callback=lambda step, _steps, _loss: report(step, "tuning"),
    )
    wanted = [(prompt, sample) for prompt in prompts for sample in range(recipe.samples_per_prompt)]
    seeds = [derive_seed(seed, "lone expert", prompt, sample) for prompt, sample in wanted]
    drawn = draw_candidates(
        expert,
        [Order(prompt, one) for (prompt, _), one in zip(wanted, seeds, strict=True)],
        recipe=recipe.sampling,
        callback=lambda step, _steps, _picture: report(min(recipe.steps + step + 1, total), "drawing"),
    )
    candidates = [
        LoneCandidate(prompt, sample, one, tensor_to_picture(picture_CHW))
        for (prompt, sample), one, picture_CHW in zip(wanted, seeds, drawn, strict=True)
    ]
    return LoneExpert(candidates, expert.losses, expert_files(expert, recipe))
