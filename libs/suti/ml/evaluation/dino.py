"""DINO as evaluations see it: pictures in, a class token and a row for each patch out.

A ViT by timm ("vit_small_patch16_224.dino", or a folder that timm saved), or by transformers ("facebook/dino-vits16",
or a folder that transformers saved). Weights are safetensors. Legend: N pictures, P patches, C channels, H height,
W width, D embedding width.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from suti.ml.diffusion.parts import quiet, require_finite
from suti.ml.evaluation.preprocessing import prepared
from suti.ml.evaluation.protocols import Preprocessing
from suti.ml.evaluation.published import published_folder
from suti.ml.model_files import ModelInvalid, ModelMissing, folder_digest, refuse_pickles

_BATCH = 32
_CONFIG = "config.json"


@dataclass(frozen=True)
class Looked:
    """What DINO saw. Rows of unit length, float32, on the CPU."""

    class_ND: Tensor
    patch_NPD: Tensor


class DinoEncoder:
    """Looks at pictures with one ViT. `side_px` and `patch_px` are the model's own."""

    def __init__(  # noqa: PLR0917 - private, two callers
        self,
        model: nn.Module,
        tokens: Callable[[Tensor], Tensor],
        side_px: int,
        patch_px: int,
        digest: str,
        device: str | torch.device,
    ) -> None:
        self.side_px, self.patch_px, self.digest = side_px, patch_px, digest
        self.device = torch.device(device)
        self._model = model.to(self.device).float().eval().requires_grad_(False)
        self._tokens = tokens  # (N, C, H, W) -> (N, registers + 1 + P, D), the patches last, the class token first
        with torch.inference_mode():
            blank_NCHW = torch.zeros(1, 3, side_px, side_px, device=self.device)
            self.width = int(tokens(blank_NCHW).shape[-1])

    @torch.inference_mode()
    def look(self, pictures: Sequence[Image.Image], recipe: Preprocessing, *, batch: int = _BATCH) -> Looked:
        """What there is to be seen on pictures of any size."""
        patches = (self.side_px // self.patch_px) ** 2
        rows: list[Tensor] = []
        for start in range(0, len(pictures), batch):
            inputs_NCHW = prepared(pictures[start : start + batch], recipe, side_px=self.side_px)
            rows.append(self._tokens(inputs_NCHW.to(self.device)).float().cpu())
        if not rows:
            return Looked(torch.empty(0, self.width), torch.empty(0, patches, self.width))
        tokens_NTD = F.normalize(torch.cat(rows), dim=-1)
        return Looked(tokens_NTD[:, 0], tokens_NTD[:, -patches:])


def load_dino(name_or_folder: str, *, device: str | torch.device = "cpu") -> DinoEncoder:
    """A ViT ready to look: a folder of timm's or transformers', timm's name, or transformers' "owner/name".

    Raises:
        ModelMissing, ModelUnsafe, ModelInvalid: there is none, its weights are pickles, or it cannot be read.
    """
    folder = Path(name_or_folder)
    if not (name_or_folder and folder.is_dir()):
        folder = published_folder(name_or_folder if "/" in name_or_folder else _home_of(name_or_folder))
    refuse_pickles(folder)
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        by_timm = "architecture" in config
        load = _by_timm if by_timm else _by_transformers
        return load(folder, folder_digest(folder), device)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelInvalid(f"{folder} holds no ViT of timm or transformers ({error}): copy it anew") from error


def _home_of(name: str) -> str:
    """The hub's repository of one of timm's names."""
    import timm  # noqa: PLC0415

    known = cast("Any", timm).get_pretrained_cfg(name)
    if known is None or not known.hf_hub_id:
        raise ModelMissing(
            f"no DINO {name!r}: give a folder, a name of timm such as vit_small_patch16_224.dino, or owner/name"
        )
    return str(known.hf_hub_id)


def _by_timm(folder: Path, digest: str, device: str | torch.device) -> DinoEncoder:
    import timm  # noqa: PLC0415
    from safetensors.torch import load_file  # noqa: PLC0415

    config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    arguments = {**config.get("model_args", {}), "num_classes": 0}
    model = cast("Any", timm).create_model(config["architecture"], pretrained=False, **arguments)
    stored = load_file(folder / "model.safetensors")
    wanted = model.state_dict()
    _check(folder, wanted, stored)
    model.load_state_dict({name: stored[name] for name in wanted})
    side_px, patch_px = int(model.patch_embed.img_size[0]), int(model.patch_embed.patch_size[0])
    return DinoEncoder(model, model.forward_features, side_px, patch_px, digest, device)


def _by_transformers(folder: Path, digest: str, device: str | torch.device) -> DinoEncoder:
    from transformers import AutoConfig, AutoModel  # noqa: PLC0415

    config = cast("Any", AutoConfig).from_pretrained(folder)
    extra = {"add_pooling_layer": False} if config.model_type == "vit" else {}
    # By transformers' own loader, since names in files are not those in memory.
    with quiet():
        loaded = cast("Any", AutoModel).from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **extra
        )
    model, told = cast("tuple[Any, dict[str, Any]]", loaded)
    if lacking := sorted(told["missing_keys"]):
        raise ModelInvalid(f"{folder}: tensor {lacking[0]} is missing: copy the folder anew")
    require_finite(folder, model.state_dict())
    side_px, patch_px = int(config.image_size), int(config.patch_size)

    def tokens(pictures_NCHW: Tensor) -> Tensor:
        return model(pixel_values=pictures_NCHW).last_hidden_state

    return DinoEncoder(model, tokens, side_px, patch_px, digest, device)


def _check(folder: Path, wanted: dict[str, Tensor], stored: dict[str, Tensor]) -> None:
    for name, tensor in wanted.items():
        if name not in stored or stored[name].shape != tensor.shape:
            found = "missing" if name not in stored else f"of shape {tuple(stored[name].shape)}"
            raise ModelInvalid(f"{folder}: tensor {name} is {found}, the configuration says {tuple(tensor.shape)}")
    require_finite(folder, {name: stored[name] for name in wanted})
