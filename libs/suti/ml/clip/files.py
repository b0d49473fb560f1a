"""A CLIP on disk: open_clip's own hub layout in a folder (`open_clip_config.json`, `open_clip_model.safetensors`).

Weights are safetensors, in half precision if so saved; they are checked tensor by tensor before they are used.
"""

import json
import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import open_clip
import torch
from open_clip.convert import convert_state_dict
from open_clip.pretrained import download_pretrained, get_pretrained_cfg
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from suti.ml.model_files import (
    SAFE_SUFFIXES,
    ModelInvalid,
    ModelMissing,
    ModelUnsafe,
    file_digest,
    folder_digest,
    refuse_pickles,
)

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
_HUB_PREFIX = "hf-hub:"
_HUB_FILES = [f"*{suffix}" for suffix in sorted(SAFE_SUFFIXES)]
_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")
_UNUSED = frozenset({"text.transformer.embeddings.position_ids"})  # older transformers saved it


@dataclass(frozen=True)
class ClipFiles:
    """A CLIP as read from disk: on the CPU, float32, in evaluation mode."""

    model: nn.Module
    tokenizer: Any
    digest: str


def read_clip(name_or_folder: str) -> ClipFiles:
    """Read a CLIP from a folder, from open_clip's published weights ("ViT-L-14/openai"), or from a hub ("hf-hub:a/b").

    Raises:
        ModelMissing: no such folder or name, or the hub cannot be reached.
        ModelUnsafe: its weights are pickles alone.
        ModelInvalid: a file or tensor is missing, or a tensor has the wrong shape or holds no numbers.
    """
    if name_or_folder and Path(name_or_folder).is_dir():
        return _read_folder(Path(name_or_folder))
    if name_or_folder.startswith(_HUB_PREFIX):
        return _read_folder(_fetch_from_hub(name_or_folder.removeprefix(_HUB_PREFIX)))
    return _read_published(name_or_folder)


def save_clip(model: nn.Module, config: Mapping[str, Any], folder: Path, *, dtype: torch.dtype = torch.float16) -> None:
    """Write a CLIP so that `read_clip` and open_clip's `local-dir:` both read it.

    `config` is either open_clip's model configuration (`embed_dim`, `vision_cfg`, `text_cfg`) or
    `{"model_cfg": ..., "preprocess_cfg": ...}`. Floating-point tensors are stored as `dtype`, save for the learned
    temperature, which stays float32.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = dict(config) if "model_cfg" in config else {"model_cfg": dict(config)}
    whole.setdefault("preprocess_cfg", _preprocessing_of(model))
    tensors = {
        name: (tensor.to(dtype) if tensor.is_floating_point() and tensor.ndim > 0 else tensor)
        .detach()
        .cpu()
        .contiguous()
        for name, tensor in model.state_dict().items()
    }
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(whole, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _read_folder(folder: Path) -> ClipFiles:
    refuse_pickles(folder)
    if not (folder / CONFIG).is_file():
        raise ModelInvalid(f"{folder}: no {CONFIG}: save the model with suti or push_to_hf_hub of open_clip")
    try:
        with _quiet():  # float32 on the CPU, open_clip's defaults; the weights are loaded by us, checked
            model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
        tokenizer: Any = open_clip.get_tokenizer(f"local-dir:{folder}")
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, OSError, AssertionError) as error:
        raise ModelInvalid(f"{folder / CONFIG} describes no CLIP ({error}): repair or copy it anew") from error
    _load_checked(model, _weights_in(folder))
    return ClipFiles(model=model.eval(), tokenizer=tokenizer, digest=folder_digest(folder))


def _read_published(name: str) -> ClipFiles:
    architecture, _, tag = name.rpartition("/")
    published = cast(dict[str, Any], get_pretrained_cfg(architecture, tag)) if architecture else {}
    if not published:
        raise ModelMissing(
            f"no CLIP {name!r}: give a folder, hf-hub:owner/name, or a name of open_clip.list_pretrained() as MODEL/TAG"
        )
    try:
        weights = Path(download_pretrained(published))
    except Exception as error:  # whatever the hub's client raises, the remedy is the same
        raise ModelMissing(f"CLIP {name!r} cannot be fetched ({error}): check the network, or give a folder") from error
    with _quiet():
        model = open_clip.create_model(
            architecture,
            pretrained=None,
            pretrained_text=False,
            force_quick_gelu=bool(published.get("quick_gelu", False)),
            force_preprocess_cfg={key: published[key] for key in _PREPROCESSING if key in published},
        )
    _load_checked(model, weights)
    return ClipFiles(model=model.eval(), tokenizer=open_clip.get_tokenizer(architecture), digest=file_digest(weights))


def _fetch_from_hub(repository: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only for hub names

    try:
        return Path(snapshot_download(repository, allow_patterns=_HUB_FILES))
    except Exception as error:  # whatever the hub's client raises, the remedy is the same
        raise ModelMissing(f"CLIP {repository!r} cannot be fetched ({error}): check name and network") from error


def _weights_in(folder: Path) -> Path:
    if (folder / WEIGHTS).is_file():
        return folder / WEIGHTS
    found = sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        raise ModelInvalid(f"{folder}: {len(found)} .safetensors files and none is {WEIGHTS}: name the CLIP's so")
    return found[0]


def _load_checked(model: nn.Module, weights: Path) -> None:
    if weights.suffix != ".safetensors":
        raise ModelUnsafe(f"{weights} is a pickle and is never opened: choose weights published as safetensors")
    try:
        stored: dict[str, Tensor] = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise ModelInvalid(f"{weights} cannot be read ({error}): copy it anew") from error
    stored = cast(dict[str, Tensor], convert_state_dict(cast(Any, model), stored))
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        if name not in stored:
            raise ModelInvalid(f"{weights}: tensor {name} is missing: the file is not of this configuration")
        found = stored[name]
        if found.numel() == tensor.numel() == 1:
            stored[name] = found = found.reshape(tensor.shape)  # a scalar was once saved as a row of one
        if found.shape != tensor.shape:
            raise ModelInvalid(
                f"{weights}: tensor {name} has shape {tuple(found.shape)}, the configuration says "
                f"{tuple(tensor.shape)}: the two files are not of one model"
            )
        if found.is_floating_point() and not bool(torch.isfinite(found).all()):
            raise ModelInvalid(f"{weights}: tensor {name} holds NaN or infinity: copy or train the model anew")
    extra = sorted(stored.keys() - wanted.keys() - _UNUSED)
    if extra:
        raise ModelInvalid(f"{weights}: tensor {extra[0]} is not in the configuration: the two are not of one model")
    model.load_state_dict({name: stored[name] for name in wanted})


@contextmanager
def _quiet() -> Generator[None]:
    """Keeps open_clip from warning that the model is random, on the way to filling it."""

    def without(record: logging.LogRecord) -> bool:
        return "No pretrained weights loaded" not in record.getMessage()

    root = logging.getLogger()
    root.addFilter(without)
    try:
        yield
    finally:
        root.removeFilter(without)


def _preprocessing_of(model: nn.Module) -> dict[str, Any]:
    visual = cast(Any, model).visual
    known = cast(dict[str, Any], getattr(visual, "preprocess_cfg", None) or {})
    return {key: known[key] for key in _PREPROCESSING if key in known}
