"""Training the toy base and its warm start together: one network, a part of its rows with demonstrations.

Rows without demonstrations never touch the added attention, so the UNet alone is the base; with it, it is the warm
start (the paper's Re-Imagen mode). Why together: docs/decisions/0006.

Legend: S subjects, K demonstrations, T targets of each, N = S x T + singles pictures of a batch.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch._dynamo as dynamo
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from suti.core.seeds import derive_seed
from suti.ml.apprentice.average import WeightAverage
from suti.ml.diffusion.base import save_base
from suti.ml.diffusion.pixels import from_pixels
from suti.ml.diffusion.schedule import NoiseSchedule, denoising_loss
from suti.ml.diffusion.text import TextEmbedding
from suti.ml.subject.files import SubjectModel, load_subject_model, save_subject_model
from suti.toyworld.captions import caption
from suti.toyworld.training.drawings import Drawings
from suti.toyworld.training.pool import CaptionedPool
from suti.toyworld.views import View

_KEEP_TEXT, _KEEP_DEMONSTRATIONS = 0.9, 0.85


@dataclass(frozen=True)
class JointRecipe:
    """How much of what in a step; what the committed models had of it: docs/decisions/0007."""

    steps: int
    subjects: int = 4
    demonstrations: int = 3
    targets: int = 4
    singles: int = 72
    shown_to_itself: float = 0.3  # share of subjects whose first target is among its demonstrations, falling to 0
    learning_rate: float = 6e-4
    betas: tuple[float, float] = (0.9, 0.99)
    save_every: int = 250


def weight_as_single(view: View) -> float:
    """How often a picture with a text of its own is shown: a hat is few pixels of few pictures, and a base that cannot
    draw one has nothing to teach (docs/decisions/0015).
    """
    if view.accessory != "none":
        return 4.0
    return 2.0 if view.attribute != "none" or view.style != "photo" else 1.0


@dataclass(frozen=True)
class _Step:
    demonstrations_SKCHW: Tensor
    demonstration_texts: list[str]
    targets_NCHW: Tensor
    texts: list[str]
    generator: torch.Generator


def train_together(
    clusters: Drawings,
    singles: CaptionedPool,
    folder: Path,
    *,
    recipe: JointRecipe,
    seed: int = 0,
    progress: Callable[[int, int, float], None] | None = None,
) -> None:
    """Go on from the warm start in `folder`, or else its base, and write both anew, averaged, in half precision."""
    warmstart = folder / "warmstart"
    model = load_subject_model(warmstart if warmstart.exists() else folder / "base")
    model.network.unet.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's stub
    _compile(model.network.unet)
    parts = nn.ModuleDict({"network": model.network, "text": model.base.text})
    parts.train().requires_grad_(True)
    schedule = NoiseSchedule.from_config(model.base.scheduler_config)
    optimizer = torch.optim.AdamW(parts.parameters(), lr=recipe.learning_rate, betas=recipe.betas, weight_decay=0.01)
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate_share(step, recipe.steps))
    average = WeightAverage(parts, decay=0.998)
    for step in range(recipe.steps):
        loss = _loss(model, schedule, _deal(clusters, singles, recipe, step, seed), recipe)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
        rates.step()
        average.update(parts, step)
        if progress is not None:
            progress(step + 1, recipe.steps, float(loss.detach()))
        if (step + 1) % recipe.save_every == 0 or step + 1 == recipe.steps:
            _save(parts, average, model, folder)


def _rate_share(step: int, steps: int) -> float:
    """Of the learning rate: up over 200 steps, level, and along a cosine to 0 over the last quarter."""
    falling = max(0.0, 4 * step / steps - 3)
    return min(1.0, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * falling))


def _compile(unet: nn.Module) -> None:
    """Compile every residual and attention block in place: minutes at the start, an eighth off each step."""
    # Blocks share their code, and each is compiled for its own width.
    dynamo.config.recompile_limit = 128
    for part in unet.modules():
        if isinstance(part, (ResnetBlock2D, Transformer2DModel)):
            part.compile(dynamic=False)


def _loss(model: SubjectModel, schedule: NoiseSchedule, work: _Step, recipe: JointRecipe) -> Tensor:
    count = work.targets_NCHW.shape[0]
    shown = recipe.subjects * recipe.targets
    # Twice as often at the noisy end, where it is settled who is drawn; at the other end only edges are left to learn.
    t_N = (torch.rand(count, generator=work.generator).sqrt() * schedule.steps).long()
    noise_NCHW = torch.randn(work.targets_NCHW.shape, generator=work.generator)
    keep_N = (torch.rand(shown, generator=work.generator) < _KEEP_DEMONSTRATIONS).float()
    noisy_NCHW = schedule.add_noise(work.targets_NCHW, noise_NCHW, t_N).contiguous(memory_format=torch.channels_last)
    # The fused attention's backward pass in bfloat16 is the slowest part of a step on a processor.
    with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
        embedded: TextEmbedding = model.base.text([*work.demonstration_texts, *work.texts])
        asked = len(work.demonstration_texts)
        context = model.network.encode(work.demonstrations_SKCHW, embedded.select(range(asked)))
        # Singles first: the rows that the added attention passes by.
        text = embedded.select(range(asked, asked + count))
        answer_NCHW = model.network(noisy_NCHW, t_N, text, subject=context, keep_N=keep_N, unseen=count - shown)
    return denoising_loss(answer_NCHW, schedule.target(work.targets_NCHW, noise_NCHW, t_N)).mean()


def _deal(clusters: Drawings, singles: CaptionedPool, recipe: JointRecipe, step: int, seed: int) -> _Step:
    generator = torch.Generator().manual_seed(derive_seed(seed, "toy-joint", step))
    pictures_NCHW, texts = singles.captioned(step, recipe.singles)
    each = clusters.views_each
    shown: list[int] = []
    asked: list[int] = []
    for subject in torch.randint(0, len(clusters.views) // each, (recipe.subjects,), generator=generator).tolist():
        order = (subject * each + torch.randperm(each, generator=generator)).tolist()
        # Copying what is shown is learnt first; then the same subject in another view.
        itself = float(torch.rand(1, generator=generator)) < recipe.shown_to_itself * (1 - step / recipe.steps)
        shown += order[: recipe.demonstrations]
        asked += order[recipe.demonstrations - itself :][: recipe.targets]
    texts += _said(clusters, asked, generator)
    dropped_N = torch.rand(len(texts), generator=generator) >= _KEEP_TEXT
    return _Step(
        demonstrations_SKCHW=_pixels(clusters, shown).unflatten(0, (recipe.subjects, recipe.demonstrations)),
        demonstration_texts=_said(clusters, shown, generator),
        targets_NCHW=torch.cat([pictures_NCHW, _pixels(clusters, asked)]),
        texts=["" if drop else text for text, drop in zip(texts, dropped_N.tolist(), strict=True)],
        generator=generator,
    )


def _said(clusters: Drawings, rows: Sequence[int], generator: torch.Generator) -> list[str]:
    """Captions as the web and a captioner would leave them: mostly the class, often a name, now and then traits."""
    chance_N = torch.rand(len(rows), generator=generator).tolist()
    return [
        caption(
            clusters.subjects[row],
            clusters.views[row],
            seed=row,
            detail=0.5 if chance < 0.15 else 0.0,
            named=chance > 0.65,
        )
        for row, chance in zip(rows, chance_N, strict=True)
    ]


def _pixels(clusters: Drawings, rows: Sequence[int]) -> Tensor:
    return from_pixels(clusters.pictures_PCHW[list(rows)])


def _save(parts: nn.ModuleDict, average: WeightAverage, model: SubjectModel, folder: Path) -> None:
    """Write the averaged weights; training goes on with its own."""
    own = {name: value.detach().clone() for name, value in parts.named_parameters()}
    average.copy_to(parts)
    save_base(model.base, folder / "base")
    save_subject_model(model, folder / "warmstart")
    with torch.no_grad():
        for name, value in parts.named_parameters():
            value.copy_(own[name])
