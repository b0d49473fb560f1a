"""One part of a diffusers folder, checked: safetensors alone, every tensor there, in shape, and finite."""

import json
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoTokenizer
from transformers.utils import logging

from suti.ml.model_files import ModelInvalid, ModelMissing, refuse_pickles

_READING = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError, SafetensorError)


def require_folder(folder: Path) -> Path:
    """The folder, if it is one. Raises ModelMissing."""
    if not folder.is_dir():
        raise ModelMissing(f"no model folder {folder}: check the path, or see `suti models list`")
    return folder


def read_json(path: Path) -> dict[str, Any]:
    """A model folder's JSON file as a mapping. Raises ModelInvalid."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelInvalid(f"{path} is missing: copy the whole diffusers folder") from error
    except (OSError, ValueError) as error:
        raise ModelInvalid(f"{path} cannot be read ({error}): copy it anew") from error
    if not isinstance(content, dict):
        raise ModelInvalid(f"{path} holds no mapping: copy it anew")
    return cast("dict[str, Any]", content)


def load_part(folder: Path, model_class: Any) -> nn.Module:
    """A model of a diffusers or transformers class, on the CPU in float32, with every tensor from the file.

    Raises:
        ModelUnsafe: its weights are pickles alone.
        ModelInvalid: a file or tensor is missing or unknown, has the wrong shape or holds no numbers.
    """
    if not folder.is_dir():
        raise ModelInvalid(f"{folder} is missing: copy the whole diffusers folder")
    refuse_pickles(folder)
    read_json(folder / "config.json")
    options: dict[str, Any] = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    if not _has_plain_weights(folder):
        options["variant"] = "fp16"
    if str(model_class.__module__).startswith("transformers."):
        options["ignore_mismatched_sizes"] = True  # told by `info`, and then refused by us with the tensor's name
    try:
        with quiet():
            loaded, info = model_class.from_pretrained(folder, torch_dtype=torch.float32, **options)
    except _READING as error:
        raise ModelInvalid(f"{folder} cannot be loaded ({_first_line(error)}): copy or convert it anew") from error
    _check(folder, loaded, cast("dict[str, Any]", info))
    return _own(cast("nn.Module", loaded))


def load_tokenizer(folder: Path) -> Any:
    """A tokenizer with a padding token. Raises ModelInvalid."""
    if not folder.is_dir():
        raise ModelInvalid(f"{folder} is missing: copy the whole diffusers folder")
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except _READING as error:
        raise ModelInvalid(f"{folder}: no tokenizer can be read ({_first_line(error)}): copy it anew") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _has_plain_weights(folder: Path) -> bool:
    return any(".fp16." not in path.name for path in folder.glob("*.safetensors"))


def _check(folder: Path, model: nn.Module, info: dict[str, Any]) -> None:
    mismatched = cast("list[tuple[str, tuple[int, ...], tuple[int, ...]]]", list(info.get("mismatched_keys") or ()))
    if mismatched:
        name, found, wanted = min(mismatched)
        raise ModelInvalid(
            f"{folder}: tensor {name} has shape {tuple(found)}, config.json says {tuple(wanted)}: "
            "the files are not of one model, copy it anew"
        )
    missing = sorted(cast("set[str]", info.get("missing_keys") or set[str]()))
    if missing:
        raise ModelInvalid(f"{folder}: tensor {missing[0]} is missing ({len(missing)} in all): copy the model anew")
    require_finite(folder, model.state_dict())


def require_finite(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raises ModelInvalid where a tensor of a model holds no numbers."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelInvalid(f"{folder}: tensor {name} holds NaN or infinity: copy or train the model anew")


@contextmanager
def quiet() -> Generator[None]:
    """Keeps the libraries' bars and deprecation notices of old configs away; what matters is checked by us."""
    showed_bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if showed_bars:
            logging.enable_progress_bar()


def _own(model: nn.Module) -> nn.Module:
    """The model with its weights in memory of its own instead of the mapped file.

    In a file tensors lie at any address, and kernels round otherwise at an address that is not aligned: the same
    weights would answer with other bits after they were saved anew.
    """
    for weight in [*model.parameters(), *model.buffers()]:
        weight.data = weight.data.clone()
    return model


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
