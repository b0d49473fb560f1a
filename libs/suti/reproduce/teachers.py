"""Who draws what the apprentice learns from: an expert tuned on the cluster, or the truth itself as the ceiling.

Legend: N candidates, C channels, H height, W width.
"""

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from suti.core.seeds import derive_seed
from suti.ml.clip.encoder import ClipEncoder
from suti.ml.diffusion.base import Base
from suti.ml.diffusion.latents import tensor_to_picture
from suti.ml.experts.drawing import Order, draw_candidates
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.experts.tuning import tune_expert
from suti.ml.quality.measuring import score_pictures
from suti.reproduce.clusters import Cluster
from suti.reproduce.lessons import Lesson
from suti.toyworld.captions import view_of_prompt
from suti.toyworld.render import render
from suti.toyworld.views import View, draw_view


def expert_lesson(cluster: Cluster, base: Base, clip: ClipEncoder, recipe: ExpertRecipe, *, seed: int) -> Lesson:
    """Tune an expert on the cluster and let it draw every prompt `samples_per_prompt` times, as the stage does.

    Raises:
        ExpertDiverged: a loss or a picture is not made of numbers.
    """
    began = time.monotonic()
    expert = tune_expert(
        base,
        cluster.pictures_KCHW.float() / 127.5 - 1,
        cluster.texts,
        recipe=recipe,
        seed=derive_seed(seed, "reproduce-expert", cluster.number),
    )
    orders = [
        Order(prompt, derive_seed(seed, "reproduce-candidate", cluster.number, prompt, sample))
        for prompt in cluster.prompts
        for sample in range(recipe.samples_per_prompt)
    ]
    drawn = list(draw_candidates(expert, orders, recipe=recipe.sampling))
    pixels_NCHW = ((torch.stack(drawn) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return _lesson(cluster, clip, [order.prompt for order in orders], pixels_NCHW, time.monotonic() - began)


def render_lesson(cluster: Cluster, clip: ClipEncoder, *, samples_per_prompt: int, seed: int) -> Lesson:
    """The subject itself as each prompt wants it, in poses of chance: what no expert can better."""
    began = time.monotonic()
    prompts = [prompt for prompt in cluster.prompts for _ in range(samples_per_prompt)]
    views = [
        _posed(prompt, derive_seed(seed, "reproduce-pose", cluster.number, row)) for row, prompt in enumerate(prompts)
    ]
    size_px = cluster.pictures_KCHW.shape[-1]
    pixels_NCHW = render([cluster.subject] * len(views), views, size_px=size_px)
    return _lesson(cluster, clip, prompts, pixels_NCHW, time.monotonic() - began)


def _posed(prompt: str, seed: int) -> View:
    pose, asked = draw_view(seed), view_of_prompt(prompt)
    return View(
        x=pose.x,
        y=pose.y,
        size=pose.size,
        angle=pose.angle,
        flip=pose.flip,
        scene=asked.scene,
        style=asked.style,
        accessory=asked.accessory,
        attribute=asked.attribute,
    )


def _lesson(cluster: Cluster, clip: ClipEncoder, prompts: Sequence[str], pixels_NCHW: Tensor, seconds: float) -> Lesson:
    scores = score_pictures(
        clip,
        demonstrations=[_opened(pixels_CHW) for pixels_CHW in cluster.pictures_KCHW],
        candidates=[_opened(pixels_CHW) for pixels_CHW in pixels_NCHW],
        prompts=prompts,
    )
    return Lesson(
        number=cluster.number,
        subject=cluster.subject,
        texts=cluster.texts,
        demonstrations_KCHW=cluster.pictures_KCHW,
        prompts=tuple(prompts),
        candidates_NCHW=pixels_NCHW,
        scores=scores,
        seconds=seconds,
    )


def _opened(pixels_CHW: Tensor):
    return tensor_to_picture(pixels_CHW.float() / 127.5 - 1)
