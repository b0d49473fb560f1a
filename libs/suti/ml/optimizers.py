"""Optimizers by name, as recipes name them."""

from collections.abc import Iterable
from typing import Literal, cast

from torch import nn
from torch.optim import AdamW, Optimizer
from transformers.optimization import Adafactor

OptimizerName = Literal["adafactor", "adamw"]


def new_optimizer(name: OptimizerName, parameters: Iterable[nn.Parameter], *, learning_rate: float) -> Optimizer:
    """An optimizer whose learning rate is taken literally.

    Adafactor (Shazeer and Stern 2018) runs without relative steps and without scaling by the weight's size, so that
    the paper's 1e-5 means what it says.
    """
    if name == "adamw":
        return AdamW(parameters, lr=learning_rate, weight_decay=0.01)
    return cast(
        "Optimizer",
        Adafactor(parameters, lr=learning_rate, relative_step=False, scale_parameter=False, warmup_init=False),
    )
