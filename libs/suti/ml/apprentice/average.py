"""The moving average of weights that is kept as the model to draw with."""

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average with a warm-up, so that early steps do not weigh for ever.

    The decay at step n is min(decay, (1 + n) / (10 + n)), as in the TensorFlow reference and in diffusers' EMAModel.
    """

    def __init__(self, module: nn.Module, *, decay: float) -> None:
        self._decay = decay
        self.weights: dict[str, Tensor] = {name: value.detach().clone() for name, value in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move the average towards the module's weights; `step` counts from 0."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, parameter in module.named_parameters():
            self.weights[name].lerp_(parameter.detach(), 1 - decay)

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Write the averaged weights into a module of the same shape."""
        for name, parameter in module.named_parameters():
            parameter.copy_(self.weights[name])
