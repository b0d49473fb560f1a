"""Checkpoints from which training goes on as if it had never stopped: weights, average, optimizer and position.

Random numbers need no state of their own: every batch is a pure function of (seed, step), so the position is the step.
"""

import json
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from suti.core.errors import PermanentError
from suti.ml.apprentice.gang import like, whole
from suti.ml.apprentice.training import Trainer

_FORMAT = 1


class CheckpointInvalid(PermanentError):
    """A checkpoint does not belong to this training."""

    reason = "CHECKPOINT_INVALID"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A training's whole state as bytes of safetensors (never a pickle), named by its step."""

    step: int
    data: bytes


def take_checkpoint(trainer: Trainer) -> Checkpoint:
    """Everything that `restore` needs, bit for bit. In a gang all processes take it together; any one's will do."""
    tensors: dict[str, Tensor] = {}
    names = [name for name, _ in trainer.network.named_parameters()]
    for name, parameter in trainer.network.named_parameters():
        tensors[f"weight/{name}"] = whole(parameter.detach()).contiguous()
        tensors[f"average/{name}"] = whole(trainer.average.weights[name]).contiguous()
    scalars: dict[str, float] = {}
    for name, parameter in zip(names, trainer.network.parameters(), strict=True):
        # In one order: a restored state's is another in each process, and a gang gathers what it holds piece by piece.
        for key, value in sorted(trainer.optimizer.state.get(parameter, {}).items()):
            if isinstance(value, Tensor):
                tensors[f"optimizer/{name}/{key}"] = whole(value).contiguous()
            elif value is not None:
                scalars[f"{name}/{key}"] = value
    header = {"format": _FORMAT, "step": trainer.step, "seed": trainer.seed, "scalars": scalars}
    header["recipe"] = trainer.recipe.model_dump(mode="json")
    # Tensors that share storage or layout tricks do not survive safetensors; clones do.
    data = save({key: value.clone() for key, value in tensors.items()}, metadata={"suti": json.dumps(header)})
    return Checkpoint(step=trainer.step, data=data)


def restore(trainer: Trainer, data: bytes) -> None:
    """Put a new trainer of the same recipe, seed and network into the state of a checkpoint.

    Raises:
        CheckpointInvalid: it was written by another recipe, seed, network or format, or was cut short.
    """
    header = _header(data)
    if header.get("format") != _FORMAT:
        raise CheckpointInvalid(f"checkpoint format {header.get('format')!r}: start the training anew")
    if header["seed"] != trainer.seed or header["recipe"] != trainer.recipe.model_dump(mode="json"):
        raise CheckpointInvalid("the checkpoint is of another recipe or seed: delete it or use its run")
    tensors = _tensors(data)
    parameters = dict(trainer.network.named_parameters())
    known = {key.removeprefix("weight/"): value.shape for key, value in tensors.items() if key.startswith("weight/")}
    wanted = {name: parameter.shape for name, parameter in parameters.items()}
    if odd := sorted(name for name in known.keys() | wanted.keys() if known.get(name) != wanted.get(name)):
        raise CheckpointInvalid(f"the checkpoint is of another network (tensor {odd[0]!r}): use the base of its run")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(like(tensors[f"weight/{name}"], parameter))
            trainer.average.weights[name].copy_(like(tensors[f"average/{name}"], parameter))
    for name, parameter in parameters.items():
        state = {
            # Counters stay on the CPU, where a new optimizer keeps them; all else lies beside its weight.
            key.rsplit("/", 1)[1]: _held(value, parameter) if value.ndim else value
            for key, value in tensors.items()
            if key.startswith(f"optimizer/{name}/")
        }
        state |= {
            key.rsplit("/", 1)[1]: value for key, value in header["scalars"].items() if key.startswith(f"{name}/")
        }
        if state:
            trainer.optimizer.state[parameter] = state
    trainer.step = header["step"]


def _held(value: Tensor, parameter: Tensor) -> Tensor:
    """An optimizer's state of a weight: what has the weight's shape is spread as the weight is."""
    return like(value, parameter) if value.shape == parameter.shape else value.to(parameter.device)


def _tensors(data: bytes) -> dict[str, Tensor]:
    try:
        return load(data)
    except SafetensorError as error:
        raise CheckpointInvalid(
            f"the checkpoint is cut short ({error}): delete it and train from the one before"
        ) from error


def _header(data: bytes) -> dict[str, Any]:
    try:
        length = int.from_bytes(data[:8], "little")
        return json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["suti"])
    except (ValueError, KeyError) as error:
        raise CheckpointInvalid("this is not a Suti checkpoint: delete it and start the training anew") from error
