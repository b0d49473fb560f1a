"""Training the apprentice: the denoising loss on what the experts drew (SuTI, equation 5).

The warm start of the Re-Imagen mode is trained by the same code on raw clusters.

Legend: N targets of a batch.
"""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer

from suti.core.errors import BadConfiguration, PermanentError
from suti.ml.apprentice.average import WeightAverage
from suti.ml.apprentice.examples import Batch, ExampleSet
from suti.ml.apprentice.gang import Gang, peers, whole
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.diffusion.precision import precision
from suti.ml.diffusion.schedule import NoiseSchedule, denoising_loss
from suti.ml.optimizers import new_optimizer
from suti.ml.subject.network import SubjectUNet

ALONE = Gang()

# Called after each step with (steps done, steps in all, that step's loss).
TrainingCallback = Callable[[int, int, float], None]


class TrainingDiverged(PermanentError):
    """A loss or its gradient is not a finite number. The same seed would end there again."""

    reason = "TRAINING_DIVERGED"


class SharingUnsupported(BadConfiguration):
    """The processes of a gang cannot share the work in this way."""

    reason = "SHARING_UNSUPPORTED"


class Trainer:
    """One training of one network, advanced step by step; everything it needs to go on is in its attributes.

    It trains where the network lies; examples may stay on the CPU, a batch at a time follows.
    """

    def __init__(
        self,
        network: SubjectUNet,
        schedule: NoiseSchedule,
        examples: ExampleSet,
        *,
        recipe: ApprenticeRecipe,
        seed: int,
        gang: Gang = ALONE,
    ) -> None:
        """In a gang, all processes make the same trainer and call the same methods."""
        if gang.size > 1 and gang.sharing == "fsdp2" and recipe.optimizer == "adafactor":
            raise SharingUnsupported("fsdp2 cannot spread Adafactor's rows and columns: use ddp, or optimizer adamw")
        self.network = network
        self.gang = gang
        self.recipe = recipe
        self.seed = seed
        self.step = 0
        self._device = next(network.parameters()).device
        self._loss = gang.spread(
            _BatchLoss(network, schedule, recipe.dtype, self._device, gang), pieces=network.blocks()
        )
        self.optimizer: Optimizer = new_optimizer(
            recipe.optimizer, network.parameters(), learning_rate=recipe.learning_rate
        )
        self.average = WeightAverage(network, decay=recipe.ema_decay)
        self._examples = examples
        network.train()

    def advance(self) -> float:
        """Take one step and answer its loss.

        Raises:
            TrainingDiverged: the loss or its gradient is not finite; weights and average are those before the step.
        """
        batch = self._examples.batch(self.step, recipe=self.recipe, seed=self.seed)
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        with peers():
            loss = self._loss(batch)
            loss.backward()
            norm = float(whole(torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)))
        value = self.gang.sum(float(loss.detach()) / self.gang.size)[0]
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise TrainingDiverged(
                f"step {self.step} has a loss of {value:g} and a gradient of length {norm:g}: "
                "lower apprentice.learning_rate and start a new run"
            )
        self.optimizer.step()
        self.average.update(self.network, self.step)
        self.step += 1
        return value

    def run(self, *, until: int, callback: TrainingCallback | None = None) -> list[float]:
        """Advance to a step and answer the losses on the way."""
        losses: list[float] = []
        while self.step < until:
            losses.append(self.advance())
            if callback is not None:
                callback(self.step, until, losses[-1])
        return losses

    def _learning_rate(self) -> float:
        warmup = self.recipe.warmup_steps
        return self.recipe.learning_rate * min(1.0, (self.step + 1) / warmup if warmup else 1.0)


class _BatchLoss(nn.Module):
    """`batch_loss` as a module, so that a gang can spread it."""

    def __init__(
        self, network: SubjectUNet, schedule: NoiseSchedule, dtype: str, device: torch.device, gang: Gang
    ) -> None:
        super().__init__()
        self.network = network
        self._schedule = schedule
        self._dtype = dtype
        self._device = device
        self._gang = gang

    def forward(self, batch: Batch) -> torch.Tensor:
        """The batch's loss; in a gang, such shares of it that their mean over the processes is that."""
        return batch_loss(self.network, self._schedule, batch, dtype=self._dtype, device=self._device, gang=self._gang)


def batch_loss(
    network: SubjectUNet,
    schedule: NoiseSchedule,
    batch: Batch,
    *,
    dtype: str,
    device: torch.device | None = None,
    gang: Gang = ALONE,
) -> torch.Tensor:
    """Mean denoising loss of a batch; its noise levels and noise come from the batch's own generator.

    `device` is where the network lies; unset: where the batch does. Of a gang, each process gets the loss of its own
    subjects, weighted so that the mean over the processes is the batch's.
    """
    device = device or batch.targets_NCHW.device
    shape = batch.targets_NCHW.shape
    t_N = torch.randint(0, schedule.steps, shape[:1], generator=batch.generator)
    noise_NCHW = torch.randn(shape, generator=batch.generator)
    if gang.size > 1:
        batch, rows = batch.part(*gang.share(len(batch.demonstrations_SKCHW)))
        t_N, noise_NCHW = t_N[rows], noise_NCHW[rows]
    t_N, noise_NCHW = t_N.to(device), noise_NCHW.to(device)
    batch = batch.to(device)
    noisy_NCHW = schedule.add_noise(batch.targets_NCHW, noise_NCHW, t_N).contiguous(memory_format=torch.channels_last)
    with precision(dtype, device):
        context = network.encode(batch.demonstrations_SKCHW, batch.captions)
        answer_NCHW = network(noisy_NCHW, t_N, batch.text, subject=context, keep_N=batch.keep_N)
    loss_N = denoising_loss(answer_NCHW, schedule.target(batch.targets_NCHW, noise_NCHW, t_N))
    return loss_N.mean() if gang.size == 1 else loss_N.sum() * (gang.size / shape[0])
