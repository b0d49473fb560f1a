"""An apprentice on disk: a base's own diffusers folder with one more, `subject/`, for the attention it was given."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from suti.core.errors import BadConfiguration
from suti.ml.diffusion.base import Base, load_base, save_base
from suti.ml.model_files import refuse_pickles
from suti.ml.subject.network import SubjectUNet

_FOLDER = "subject"
_WEIGHTS = "diffusion_pytorch_model.safetensors"


class SubjectWeightsInvalid(BadConfiguration):
    """A folder's subject attention cannot be read or does not fit its own UNet."""

    reason = "SUBJECT_WEIGHTS_INVALID"


@dataclass(frozen=True)
class SubjectModel:
    """A base with subject attention, ready to draw or to be trained."""

    base: Base
    network: SubjectUNet


def load_subject_model(folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> SubjectModel:
    """Load an apprentice or a warm start; a plain base gets new attention and draws exactly as before.

    Raises:
        SubjectWeightsInvalid: a tensor is missing, unknown, of another shape or not a number, or the file is none.
        ModelInvalid, ModelUnsafe: as `load_base`, and for weights of the attention that are pickles alone.
    """
    base = load_base(folder, device=device, dtype=dtype)
    network = SubjectUNet(base.unet)
    if (folder / _FOLDER).is_dir():  # a folder without its weights is a broken apprentice, not a plain base
        refuse_pickles(folder / _FOLDER)
        _fill(network, _read(folder / _FOLDER / _WEIGHTS), folder / _FOLDER / _WEIGHTS)
    return SubjectModel(base=base, network=network.to(device=device, dtype=dtype))


def save_subject_model(model: SubjectModel, folder: Path, *, dtype: torch.dtype = torch.float16) -> None:
    """Write a folder that `load_subject_model` reads back; its `unet/` alone is a diffusers UNet as well."""
    save_base(model.base, folder, dtype=dtype)
    (folder / _FOLDER).mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().to(dtype).contiguous() for name, value in model.network.added.state_dict().items()}
    save_file(tensors, folder / _FOLDER / _WEIGHTS)
    config = {"_class_name": "SubjectUNet", "layers": sorted(model.network.added)}
    (folder / _FOLDER / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise SubjectWeightsInvalid(f"{path} cannot be read ({error}): copy the model anew") from error


def _fill(network: SubjectUNet, tensors: Mapping[str, Tensor], path: Path) -> None:
    expected = network.added.state_dict()
    for name in sorted(set(expected) ^ set(tensors)):
        word = "misses" if name in expected else "has an unknown"
        raise SubjectWeightsInvalid(f"{path} {word} tensor {name!r}: train or import the model anew")
    for name, value in expected.items():
        if value.shape != tensors[name].shape:
            raise SubjectWeightsInvalid(
                f"{path}: tensor {name!r} has shape {tuple(tensors[name].shape)}, the UNet wants {tuple(value.shape)}: "
                "the folder mixes two models, copy it anew"
            )
        if not bool(torch.isfinite(tensors[name]).all()):
            raise SubjectWeightsInvalid(f"{path}: tensor {name!r} holds NaN or infinity: copy or train the model anew")
    network.added.load_state_dict({name: value.float() for name, value in tensors.items()})
