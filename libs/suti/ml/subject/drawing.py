"""Drawing with a subject in mind: the apprentice at work, with no tuning (SuTI, section 3, "Inference").

Legend: N pictures, S subjects, K demonstrations, B rows of all guidance branches, C channels, H height, W width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suti.ml.diffusion.guidance import guide, guide_apart
from suti.ml.diffusion.latents import to_model_space
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.diffusion.sampling import draw
from suti.ml.diffusion.schedule import NoiseSchedule
from suti.ml.subject.attention import SubjectContext
from suti.ml.subject.files import SubjectModel


@dataclass(frozen=True)
class Step:
    """A step that was just done."""

    done: int  # 1 to total
    total: int
    estimate: Callable[[], Tensor]  # the model's present guess of the end, (N, C, H, W) in model space


# Called after each step; what it raises ends the drawing.
OnStep = Callable[[Step], None]


@torch.inference_mode()
def encode_subject(model: SubjectModel, pictures_KCHW: Tensor, captions: Sequence[str]) -> SubjectContext:
    """Keys and values of one subject; compute them once and reuse them for every prompt, seed and step.

    Shapes: (K, 3, H, W) pictures in [-1, 1], on any device, with K captions -> a context of one subject.
    """
    base = model.base
    shown_KCHW = to_model_space(base, pictures_KCHW.to(base.device)).to(base.unet.dtype)
    return model.network.encode(shown_KCHW.unsqueeze(0), base.text.encode(captions))


@torch.inference_mode()
def draw_subject_pictures(
    model: SubjectModel,
    *,
    prompts: Sequence[str],
    seeds: Sequence[int],
    subject: SubjectContext | Callable[[], SubjectContext] | None,
    recipe: SamplingRecipe,
    avoid: Sequence[str] = (),
    on_step: OnStep | None = None,
) -> Tensor:
    """One picture for each (prompt, seed), of the context's subjects in order, or of none: then the base draws.

    With one guidance weight the unconditional branch sees neither text nor demonstrations (with `avoid`, the text to
    stay away from); with `recipe.subject_guidance` there are three branches: none, text, text and subject. With a
    weight of 1 there is but one. A function as `subject` is asked anew at every step: drawing without the cache.

    Shapes: N prompts, N seeds, a context of S subjects, each for N / S pictures side by side -> (N, C, H, W) in model
    space.
    """
    count, base = len(prompts), model.base
    apart = None if subject is None else recipe.subject_guidance
    guided = apart is not None or recipe.guidance != 1.0
    texts = base.text.encode([*prompts, *(avoid or [""] * count)] if guided else prompts)
    free, said = list(range(count, 2 * count)) if guided else [], list(range(count))
    rows = [*free, *(said if apart is not None else []), *said]
    text = texts.select(rows)
    schedule = NoiseSchedule.from_config(base.scheduler_config)
    latest: list[tuple[Tensor, Tensor, int]] = []

    def denoise(noisy_NCHW: Tensor, timestep: int, /) -> Tensor:
        # One batch for all branches; the last of them alone pays for the added attention.
        branches = len(rows) // count
        answers = model.network(
            noisy_NCHW.repeat(branches, 1, 1, 1).to(base.unet.dtype),
            torch.full((len(rows),), timestep, dtype=torch.long, device=noisy_NCHW.device),
            text,
            subject=subject() if callable(subject) else subject,
            unseen=len(rows) - count,
        )
        answer_NCHW = _guided(answers.float().chunk(branches), recipe, apart)
        latest[:] = [(noisy_NCHW, answer_NCHW, timestep)]
        return answer_NCHW

    def stepped(index: int, total: int, _sample_NCHW: Tensor) -> None:
        if on_step is not None:
            on_step(Step(done=index + 1, total=total, estimate=lambda: _estimate(schedule, *latest[0])))

    return draw(
        denoise,
        seeds=seeds,
        shape_CHW=base.shape_CHW,
        scheduler_config=base.scheduler_config,
        sampler=recipe.sampler,
        steps=recipe.steps,
        pixel_space=base.vae is None,
        dynamic_threshold=recipe.dynamic_threshold,
        device=base.device,
        callback=stepped,
    )


def _guided(branches: Sequence[Tensor], recipe: SamplingRecipe, subject_weight: float | None) -> Tensor:
    if len(branches) == 1:
        return branches[0]
    if subject_weight is None:
        return guide(branches[0], branches[1], recipe.guidance)
    free_NCHW, text_NCHW, full_NCHW = branches
    return guide_apart(free_NCHW, text_NCHW, full_NCHW, text_weight=recipe.guidance, subject_weight=subject_weight)


def _estimate(schedule: NoiseSchedule, noisy_NCHW: Tensor, answer_NCHW: Tensor, timestep: int) -> Tensor:
    """x_0 as the network's answer has it. Shapes: 2 x (N, C, H, W) -> (N, C, H, W)."""
    alpha_bar = schedule.alpha_bar_T[timestep].to(noisy_NCHW.device)
    signal, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    if schedule.prediction == "sample":
        return answer_NCHW
    if schedule.prediction == "v_prediction":
        return signal * noisy_NCHW - sigma * answer_NCHW
    return (noisy_NCHW - sigma * answer_NCHW) / signal
