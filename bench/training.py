"""What sharing one encode of the demonstrations saves in training."""

import torch

from bench.measure import Ratio, of_ratios, seconds
from bench.models import CAPTIONS, TOY_MODELS, warmstart
from suti.ml.apprentice.examples import ExampleSet, Shown, SubjectExamples
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.apprentice.training import Trainer
from suti.ml.diffusion.schedule import NoiseSchedule
from suti.ml.subject.files import load_subject_model

_TARGETS = 16  # of one step, however they are shared out


def run() -> list[Ratio]:
    """Targets per second with four targets to a subject ÷ with one."""
    size = warmstart().base.size_px
    pictures = torch.randint(0, 256, (128, 3, size, size), dtype=torch.uint8)
    cluster = [tuple(Shown(8 * subject + k, k % len(CAPTIONS)) for k in range(8)) for subject in range(16)]

    def trainer(targets: int) -> Trainer:
        model = load_subject_model(TOY_MODELS / "warmstart")
        examples = ExampleSet(
            pictures, model.base.text.encode([*CAPTIONS, ""]), [SubjectExamples(c, c) for c in cluster]
        )
        recipe = ApprenticeRecipe(
            optimizer="adamw", batch_subjects=_TARGETS // targets, targets_per_subject=targets, dtype="bfloat16"
        )
        return Trainer(
            model.network, NoiseSchedule.from_config(model.base.scheduler_config), examples, recipe=recipe, seed=0
        )

    shared, alone = trainer(4), trainer(1)
    shared.advance()
    alone.advance()
    ratios = [seconds(alone.advance) / seconds(shared.advance) for _ in range(7)]
    return [of_ratios("train, targets/s with 4 targets to an encode / with 1", ratios, at_least=1.5)]
