"""One process of a gang that trains: `python -m ...gang_process OUT SHARING OPTIMIZER BATCH STEPS`.

Takes a checkpoint in the middle and goes on from it with a new trainer. Writes the losses and the last checkpoint.
"""

import json
import os
import sys
from pathlib import Path
from typing import cast

import torch
from torch.distributed.fsdp import FSDPModule

from suti.ml.apprentice.checkpoints import restore, take_checkpoint
from suti.ml.apprentice.gang import Gang, Sharing, joined
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.apprentice.training import Trainer
from suti.ml.subject.network import SubjectUNet
from tests.unit.ml.apprentice.test_training import RECIPE, SCHEDULE, examples
from tests.unit.ml.subject.test_network import tiny_unet


def trainer(gang: Gang, recipe: ApprenticeRecipe) -> Trainer:
    """The same network, whoever makes it."""
    torch.manual_seed(3)
    return Trainer(SubjectUNet(tiny_unet()), SCHEDULE, examples(), recipe=recipe, seed=1, gang=gang)


def train(gang: Gang, *, optimizer: str, batch: int, steps: int) -> tuple[list[float], bytes]:
    """Losses and the state at the end."""
    recipe = RECIPE.model_copy(update={"optimizer": optimizer, "batch_subjects": batch, "learning_rate": 1e-4})
    first = trainer(gang, recipe)
    losses = first.run(until=steps // 2)
    second = trainer(gang, recipe)
    restore(second, take_checkpoint(first).data)
    losses += second.run(until=steps)
    return losses, take_checkpoint(second).data


def pieces(gang: Gang, *, optimizer: str, batch: int) -> list[str]:
    """The parts of the network whose weights FSDP2 spreads by themselves."""
    recipe = RECIPE.model_copy(update={"optimizer": optimizer, "batch_subjects": batch})
    found = trainer(gang, recipe).network.named_modules()
    return [name for name, module in found if isinstance(module, FSDPModule)]


def main(out: str, sharing: str, optimizer: str, batch: str, steps: str) -> None:
    """Train, and let the first one write."""
    torch.set_num_threads(1)
    with joined(device="cpu", sharing=cast("Sharing", sharing)) as gang:
        losses, state = train(gang, optimizer=optimizer, batch=int(batch), steps=int(steps))
        spread = pieces(gang, optimizer=optimizer, batch=int(batch))
        if gang.first:
            Path(out, "pieces.json").write_text(json.dumps(spread))
            Path(out, "losses.json").write_text(json.dumps(losses))
            Path(out, "state.safetensors").write_bytes(state)
        gang.meet()


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # as a job ends (suti.infra.jobs.entry.run_job)
