"""Drawing with a subject in mind: the apprentice at work, with no tuning (SuTI, section 3, "Inference").

Legend: N pictures, S subjects, K demonstrations, C channels, H height, W width, L text tokens, D width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from suti.ml.diffusion.guidance import guide, guide_apart
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.diffusion.sampling import StepCallback, draw
from suti.ml.subject.attention import SubjectContext
from suti.ml.subject.files import SubjectModel


@torch.inference_mode()
def encode_subject(model: SubjectModel, pictures_KCHW: Tensor, captions: Sequence[str]) -> SubjectContext:
    """Keys and values of one subject; compute them once and reuse them for every prompt, seed and step.

    Shapes: (K, C, H, W) in model space with K captions -> a context of one subject.
    """
    text = model.base.text.encode(list(captions))
    return model.network.encode(pictures_KCHW.unsqueeze(0), text.hidden_NLD.unsqueeze(0))


@torch.inference_mode()
def draw_subject_pictures(
    model: SubjectModel,
    *,
    prompts: Sequence[str],
    seeds: Sequence[int],
    subject: SubjectContext | None,
    recipe: SamplingRecipe,
    callback: StepCallback | None = None,
) -> Tensor:
    """One picture for each (prompt, seed), all of one subject, or of none: then the base draws.

    With one guidance weight the unconditional branch sees neither text nor demonstrations; with
    `recipe.subject_guidance` there are three branches (none, text, text and subject).

    Shapes: N prompts, N seeds, a context of one subject -> (N, C, H, W) in model space.
    """
    text = model.base.text.encode([*prompts, ""])
    full_NLD, empty_NLD = text.hidden_NLD[:-1], text.hidden_NLD[-1:].expand(len(prompts), -1, -1)
    apart = subject is not None and recipe.subject_guidance is not None

    def denoise(noisy_NCHW: Tensor, timestep: int, /) -> Tensor:
        # One batch for all branches; the last of them alone pays for the added attention.
        branches = [empty_NLD, full_NLD, full_NLD] if apart else [empty_NLD, full_NLD]
        count = noisy_NCHW.shape[0]
        text_BLD = torch.cat(branches)
        t_B = torch.full((text_BLD.shape[0],), timestep, dtype=torch.long)
        answers = model.network(
            noisy_NCHW.repeat(len(branches), 1, 1, 1),
            t_B,
            text_BLD,
            subject=subject,
            unseen=text_BLD.shape[0] - count,
        ).chunk(len(branches))
        if apart and recipe.subject_guidance is not None:
            return guide_apart(*answers, text_weight=recipe.guidance, subject_weight=recipe.subject_guidance)
        return guide(answers[0], answers[1], recipe.guidance)

    size = model.base.size_px
    return draw(
        denoise,
        seeds=seeds,
        shape_CHW=(model.base.unet.config["in_channels"], size, size),
        scheduler_config=model.base.scheduler_config,
        sampler=recipe.sampler,
        steps=recipe.steps,
        pixel_space=model.base.vae is None,
        callback=callback,
    )
