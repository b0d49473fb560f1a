"""The average of weights against diffusers' own."""

import torch
from diffusers.training_utils import EMAModel
from torch import nn

from suti.ml.apprentice.average import WeightAverage


def test_the_average_of_weights_is_the_one_that_diffusers_keeps() -> None:
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    ours, theirs = WeightAverage(module, decay=0.6), EMAModel(module.parameters(), decay=0.6)

    for step in range(20):  # beyond the warm-up, which ends at (1 + n) / (10 + n) = 0.6
        with torch.no_grad():
            for weight in module.parameters():
                weight.add_(torch.randn_like(weight))
        ours.update(module, step)
        theirs.step(module.parameters())

    # Theirs takes the first weights whole; after twenty steps nothing of them is left.
    averaged = nn.Linear(3, 2)
    ours.copy_to(averaged)
    for mine, other in zip(averaged.parameters(), theirs.shadow_params, strict=True):
        torch.testing.assert_close(mine.detach(), other)


def test_the_average_worked_by_hand() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 0.0)
    average = WeightAverage(module, decay=0.5)

    for step, value in enumerate((10.0, 20.0)):  # decays of 1/10 and 2/11
        nn.init.constant_(module.weight, value)
        average.update(module, step)

    expected = (9.0 * 2 + 20.0 * 9) / 11
    torch.testing.assert_close(average.weights["weight"], torch.tensor([[expected]]))
