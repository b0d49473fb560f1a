"""Who draws what the apprentice learns from: an expert tuned on the cluster, or the truth itself as the ceiling.

Legend: N candidates, K pictures of a cluster, C channels, H height, W width.
"""

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from suti.core.seeds import derive_seed
from suti.ml.clip.encoder import ClipEncoder
from suti.ml.diffusion.base import Base
from suti.ml.diffusion.pixels import from_pixels, pixels_to_picture, tensor_to_picture, to_pixels
from suti.ml.experts.drawing import Order, draw_candidates
from suti.ml.experts.drawing_together import draw_together
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.experts.together import Lesson as Material
from suti.ml.experts.together import tune_together
from suti.ml.experts.tuning import ExpertDiverged, tune_expert
from suti.ml.quality.measuring import score_pictures
from suti.reproduce.clusters import Cluster
from suti.reproduce.lessons import Lesson
from suti.toyworld.captions import view_of_prompt
from suti.toyworld.render import render
from suti.toyworld.views import draw_view, posed


def expert_lessons(
    clusters: Sequence[Cluster], base: Base, clip: ClipEncoder, recipe: ExpertRecipe, *, seed: int, dtype: str
) -> list[Lesson]:
    """Tune an expert on each cluster and let it draw every prompt `samples_per_prompt` times, as the stage does.

    With LoRA all are tuned and draw in one batch. An expert that diverged has drawn nothing.
    """
    began = time.monotonic()
    materials = [
        Material(
            from_pixels(cluster.pictures_KCHW),
            cluster.texts,
            seed=derive_seed(seed, "reproduce-expert", cluster.number),
        )
        for cluster in clusters
    ]
    orders = [_orders(cluster, recipe, seed=seed) for cluster in clusters]
    drawn = _drawn(base, materials, orders, recipe, dtype)
    seconds_each = (time.monotonic() - began) / len(clusters)
    return [
        _lesson(cluster, clip, [order.prompt for order in asked[: len(pictures)]], pictures, seconds_each)
        for cluster, asked, pictures in zip(clusters, orders, drawn, strict=True)
    ]


def render_lesson(cluster: Cluster, clip: ClipEncoder, *, samples_per_prompt: int, seed: int) -> Lesson:
    """The subject itself as each prompt wants it, in poses of chance: what no expert can better."""
    began = time.monotonic()
    prompts = [prompt for prompt in cluster.prompts for _ in range(samples_per_prompt)]
    views = [
        posed(view_of_prompt(prompt), draw_view(derive_seed(seed, "reproduce-pose", cluster.number, row)))
        for row, prompt in enumerate(prompts)
    ]
    size_px = cluster.pictures_KCHW.shape[-1]
    pixels_NCHW = render([cluster.subject] * len(views), views, size_px=size_px)
    pictures = list(from_pixels(pixels_NCHW))
    return _lesson(cluster, clip, prompts, pictures, time.monotonic() - began)


def _orders(cluster: Cluster, recipe: ExpertRecipe, *, seed: int) -> list[Order]:
    return [
        Order(prompt, derive_seed(seed, "reproduce-candidate", cluster.number, prompt, sample))
        for prompt in cluster.prompts
        for sample in range(recipe.samples_per_prompt)
    ]


def _drawn(
    base: Base, materials: Sequence[Material], orders: Sequence[Sequence[Order]], recipe: ExpertRecipe, dtype: str
) -> list[list[Tensor]]:
    """The pictures of each expert, in the orders' order; none of one that diverged."""
    if recipe.method == "dreambooth":
        return [_alone(base, one, asked, recipe, dtype) for one, asked in zip(materials, orders, strict=True)]
    tuned = tune_together(base, materials, recipe=recipe, dtype=dtype)
    sound = [place for place, one in enumerate(tuned) if not isinstance(one, ExpertDiverged)]
    adapters = [one.factors for one in tuned if not isinstance(one, ExpertDiverged)]
    drawn: list[list[Tensor]] = [[] for _ in tuned]
    pictures = draw_together(base, adapters, [orders[place] for place in sound], recipe=recipe, dtype=dtype)
    for place, some in zip(sound, pictures, strict=True):
        drawn[place] = [] if isinstance(some, ExpertDiverged) else some
    return drawn


def _alone(base: Base, one: Material, orders: Sequence[Order], recipe: ExpertRecipe, dtype: str) -> list[Tensor]:
    try:
        expert = tune_expert(base, one.pictures_PCHW, one.texts, recipe=recipe, seed=one.seed, dtype=dtype)
        return list(draw_candidates(expert, orders, recipe=recipe.sampling, dtype=dtype))
    except ExpertDiverged:
        return []


def _lesson(
    cluster: Cluster, clip: ClipEncoder, prompts: Sequence[str], pictures: Sequence[Tensor], seconds: float
) -> Lesson:
    """Pictures are (C, H, W) in [-1, 1], one for each prompt."""
    shown = [pixels_to_picture(pixels_CHW) for pixels_CHW in cluster.pictures_KCHW]
    drawn = [tensor_to_picture(picture_CHW) for picture_CHW in pictures]
    pixels = [to_pixels(picture_CHW) for picture_CHW in pictures]
    return Lesson(
        number=cluster.number,
        subject=cluster.subject,
        texts=cluster.texts,
        demonstrations_KCHW=cluster.pictures_KCHW,
        prompts=tuple(prompts),
        candidates_NCHW=torch.stack(pixels) if pixels else cluster.pictures_KCHW[:0],
        scores=score_pictures(clip, demonstrations=shown, candidates=drawn, prompts=prompts) if drawn else (),
        seconds=seconds,
    )
