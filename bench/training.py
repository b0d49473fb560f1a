"""What sharing one encode of the demonstrations saves in training."""

import torch

from bench.measure import Ratio, of_ratios, seconds
from bench.models import CAPTIONS, TOY_MODELS
from suti.ml.apprentice.examples import ExampleSet, Shown, SubjectExamples
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.apprentice.training import Trainer
from suti.ml.diffusion.schedule import NoiseSchedule
from suti.ml.subject.files import load_subject_model

_SUBJECTS = 4  # of one step, and so many encodes of demonstrations: the toy preset's


def run() -> list[Ratio]:
    """Targets per second with four targets to a subject ÷ with one."""
    shared, alone, many = _trainer(_SUBJECTS, 4), _trainer(_SUBJECTS, 1), _trainer(4 * _SUBJECTS, 1)
    for one in (shared, alone, many):
        one.advance()
    per_encode: list[float] = []
    per_target: list[float] = []
    for _ in range(7):
        shared_s, alone_s, many_s = (seconds(one.advance) for one in (shared, alone, many))
        per_encode.append(4 * alone_s / shared_s)
        per_target.append(many_s / shared_s)
    return [
        of_ratios("train, targets/s with 4 targets to an encode / with 1", per_encode, at_least=1.5),
        of_ratios("train, the same with as many targets in a step, of more subjects", per_target),
    ]


def _trainer(subjects: int, targets: int) -> Trainer:
    model = load_subject_model(TOY_MODELS / "warmstart")
    size = model.base.size_px
    pictures = torch.randint(0, 256, (128, 3, size, size), dtype=torch.uint8)
    cluster = [tuple(Shown(8 * subject + k, k % len(CAPTIONS)) for k in range(8)) for subject in range(16)]
    examples = ExampleSet(pictures, model.base.text.encode([*CAPTIONS, ""]), [SubjectExamples(c, c) for c in cluster])
    recipe = ApprenticeRecipe(optimizer="adamw", batch_subjects=subjects, targets_per_subject=targets, dtype="bfloat16")
    schedule = NoiseSchedule.from_config(model.base.scheduler_config)
    model.network.requires_grad_(requires_grad=True)
    return Trainer(model.network, schedule, examples, recipe=recipe, seed=0)
