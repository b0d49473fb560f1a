"""The forward process of a diffusion model: how pictures are noised and what a network is asked to predict.

Legend: N pictures, C channels, H height, W width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor

from suti.core.errors import BadConfiguration

Prediction = Literal["epsilon", "v_prediction", "sample"]
_PREDICTIONS = ("epsilon", "v_prediction", "sample")


class ScheduleUnsupported(BadConfiguration):
    """A model's scheduler asks for a prediction that Suti does not know."""

    reason = "SCHEDULE_UNSUPPORTED"


@dataclass(frozen=True)
class NoiseSchedule:
    """x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps (Ho et al. 2020, equation 4), for t in [0, steps)."""

    alpha_bar_T: Tensor  # float32, falling from nearly 1 to nearly 0
    prediction: Prediction

    @classmethod
    def from_config(cls, scheduler_config: Mapping[str, Any]) -> "NoiseSchedule":
        """Read betas and prediction type from a diffusers scheduler config.

        Raises:
            ScheduleUnsupported: the prediction type is not epsilon, v_prediction or sample.
        """
        scheduler = cast("DDPMScheduler", DDPMScheduler.from_config(dict(scheduler_config)))
        prediction = str(scheduler.config["prediction_type"])
        if prediction not in _PREDICTIONS:
            raise ScheduleUnsupported(f"prediction_type {prediction!r}: use a base that predicts one of {_PREDICTIONS}")
        return cls(alpha_bar_T=scheduler.alphas_cumprod.float(), prediction=prediction)

    @property
    def steps(self) -> int:
        """Number of noise levels."""
        return int(self.alpha_bar_T.shape[0])

    def add_noise(self, x0_NCHW: Tensor, noise_NCHW: Tensor, t_N: Tensor) -> Tensor:
        """Pictures at noise level t. Shapes: (N, C, H, W), (N, C, H, W), (N,) -> (N, C, H, W)."""
        signal, sigma = self._coefficients(t_N, x0_NCHW)
        return signal * x0_NCHW + sigma * noise_NCHW

    def target(self, x0_NCHW: Tensor, noise_NCHW: Tensor, t_N: Tensor) -> Tensor:
        """What the network should answer: the noise, the picture, or v (Salimans and Ho 2022, appendix D)."""
        if self.prediction == "epsilon":
            return noise_NCHW
        if self.prediction == "sample":
            return x0_NCHW
        signal, sigma = self._coefficients(t_N, x0_NCHW)
        return signal * noise_NCHW - sigma * x0_NCHW

    def _coefficients(self, t_N: Tensor, like_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        alpha_bar_N111 = self.alpha_bar_T.to(like_NCHW.device)[t_N].view(-1, 1, 1, 1)
        return alpha_bar_N111.sqrt(), (1 - alpha_bar_N111).sqrt()


def denoising_loss(answer_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
    """Mean squared error of each picture, w_t = 1 (SuTI, equation 2). Shapes: 2 x (N, C, H, W) -> (N,), float32."""
    return torch.square(answer_NCHW.float() - target_NCHW.float()).mean(dim=(1, 2, 3))
