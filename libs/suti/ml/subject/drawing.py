"""Drawing with a subject in mind: the apprentice at work, with no tuning (SuTI, section 3, "Inference").

Legend: N pictures, K demonstrations, B rows of all guidance branches, C channels, H height, W width.
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
    return model.network.encode(pictures_KCHW.unsqueeze(0), model.base.text.encode(captions))


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
    count = len(prompts)
    texts = model.base.text.encode([*prompts, ""])
    apart = subject is not None and recipe.subject_guidance is not None
    rows = [*[count] * count, *([*range(count)] * (2 if apart else 1))]  # the empty text first
    text = texts.select(rows)

    def denoise(noisy_NCHW: Tensor, timestep: int, /) -> Tensor:
        # One batch for all branches; the last of them alone pays for the added attention.
        branches = len(rows) // count
        t_B = torch.full((len(rows),), timestep, dtype=torch.long)
        answer_BCHW = model.network(
            noisy_NCHW.repeat(branches, 1, 1, 1), t_B, text, subject=subject, unseen=len(rows) - count
        )
        answers = answer_BCHW.chunk(branches)
        if apart and recipe.subject_guidance is not None:
            return guide_apart(*answers, text_weight=recipe.guidance, subject_weight=recipe.subject_guidance)
        return guide(answers[0], answers[1], recipe.guidance)

    return draw(
        denoise,
        seeds=seeds,
        shape_CHW=model.base.shape_CHW,
        scheduler_config=model.base.scheduler_config,
        sampler=recipe.sampler,
        steps=recipe.steps,
        pixel_space=model.base.vae is None,
        callback=callback,
    )
