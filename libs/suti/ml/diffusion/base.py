"""A base: any diffusers folder with a text-conditioned UNet, in pixel space or behind a VAE.

Legend: N pictures, C channels, H height, W width.
"""

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from suti.ml.diffusion.parts import load_part, load_tokenizer, quiet, read_json, require_folder
from suti.ml.diffusion.text import SUPPORTED, TextEmbedding, TextEncoder
from suti.ml.model_files import ModelInvalid, folder_digest

_INDEX = "model_index.json"
_TEXT_PARTS = (("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2"))
_LEARNED_VARIANCE = ("learned", "learned_range")


@dataclass
class Base:
    """A text-to-image model, ready to draw or to be tuned. In evaluation mode when it comes from `load_base`."""

    unet: UNet2DConditionModel
    text: TextEncoder
    scheduler_config: dict[str, Any]
    vae: AutoencoderKL | None  # None: the UNet works on pixels in [-1, 1]
    size_px: int  # height and width of a picture
    digest: str  # SHA-256 over the folder it was loaded from; empty for one made in memory
    index: dict[str, Any] = field(default_factory=dict[str, Any])  # model_index.json, as it was found

    @property
    def shape_CHW(self) -> tuple[int, int, int]:
        """Shape of one picture as the UNet sees it: pixels or latents."""
        config = cast("Any", self.unet.config)
        return int(config.in_channels), int(config.sample_size), int(config.sample_size)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.unet.parameters()).device

    def predict(self, noisy_NCHW: Tensor, t_N: Tensor | int, text: TextEmbedding) -> Tensor:
        """What the UNet answers to noisy pictures and texts. Shapes: (N, C, H, W) -> (N, C, H, W)."""
        return predict(self.unet, noisy_NCHW, t_N, text)


def predict(unet: nn.Module, noisy_NCHW: Tensor, t_N: Tensor | int, text: TextEmbedding) -> Tensor:
    """What a base's UNet, or a tuned copy of it, answers. Shapes: (N, C, H, W) -> (N, C, H, W)."""
    answer = unet(
        noisy_NCHW,
        t_N,
        encoder_hidden_states=text.hidden_NLD,
        encoder_attention_mask=text.mask_NL,
        added_cond_kwargs=text.added,
        return_dict=False,
    )
    return cast("tuple[Tensor, ...]", answer)[0]


def load_base(folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Base:
    """Load a base from a diffusers folder: Stable Diffusion 1.5, SDXL, DeepFloyd IF (first stage), or the toy's layout.

    Weights are read from safetensors alone, whatever precision they were stored in. A UNet that also predicts its
    variance (DeepFloyd) is loaded without that half; Suti draws with the schedule's own variance.

    Raises:
        ModelMissing: there is no such folder.
        ModelUnsafe: a part's weights are pickles alone.
        ModelInvalid: a file or tensor is missing, of the wrong shape or not a number; or the model is no base.
    """
    index = read_json(require_folder(folder) / _INDEX)
    unet = cast("UNet2DConditionModel", load_part(folder / "unet", UNet2DConditionModel))
    scheduler_config = fixed_variance(read_json(folder / "scheduler" / "scheduler_config.json"))
    vae = cast("AutoencoderKL", load_part(folder / "vae", AutoencoderKL)) if (folder / "vae").is_dir() else None
    size_px = _size_px(folder, unet, vae)
    if (folder / "image_noising_scheduler").is_dir() or (folder / "low_res_scheduler").is_dir():
        raise ModelInvalid(f"{folder} enlarges pictures (super-resolution) and draws none: use a text-to-image model")
    drop_variance(folder, unet, drawn=int(cast("Any", unet.config).in_channels))
    text = load_text(folder, size_px=size_px, zero_empty=bool(index.get("force_zeros_for_empty_prompt", False)))
    for module in (unet, text, vae):
        if module is not None:
            _move(module, device=device, dtype=dtype).eval().requires_grad_(False)
    return Base(
        unet=unet,
        text=text,
        scheduler_config=scheduler_config,
        vae=vae,
        size_px=size_px,
        digest=folder_digest(folder),
        index=index,
    )


def save_base(base: Base, folder: Path, *, dtype: torch.dtype = torch.float16) -> None:
    """Write a folder that `load_base` and diffusers both read; the base itself stays as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    _save_part(base.unet, folder / "unet", dtype)
    for (model_name, tokenizer_name), model, tokenizer in zip(
        _TEXT_PARTS, base.text.models, base.text.tokenizers, strict=False
    ):
        _save_part(model, folder / model_name, dtype)
        tokenizer.save_pretrained(folder / tokenizer_name)
    if base.vae is not None:
        _save_part(base.vae, folder / "vae", dtype)
    (folder / "scheduler").mkdir(exist_ok=True)
    _write_json(folder / "scheduler" / "scheduler_config.json", base.scheduler_config)
    _write_json(folder / _INDEX, base.index or _new_index(base))


def load_text(folder: Path, *, size_px: int, zero_empty: bool = False) -> TextEncoder:
    """The text encoders of a diffusers folder. Raises ModelInvalid, ModelUnsafe."""
    import transformers  # noqa: PLC0415 - its classes are looked up by the name in config.json

    models: list[nn.Module] = []
    tokenizers: list[Any] = []
    for model_name, tokenizer_name in _TEXT_PARTS:
        place = folder / model_name
        if models and not place.is_dir():
            break
        named = (read_json(place / "config.json").get("architectures") or ["CLIPTextModel"])[0]
        if named not in SUPPORTED:
            raise ModelInvalid(f"{place}: text encoder {named!r} is not known: use one of {sorted(SUPPORTED)}")
        models.append(load_part(place, getattr(transformers, named)))
        tokenizers.append(load_tokenizer(folder / tokenizer_name))
    return TextEncoder(models, tokenizers, size_px=size_px, zero_empty=zero_empty)


def _size_px(folder: Path, unet: UNet2DConditionModel, vae: AutoencoderKL | None) -> int:
    size = cast("Any", unet.config).sample_size
    if not isinstance(size, int):
        raise ModelInvalid(f"{folder / 'unet'}: sample_size is {size!r}: state one height and width in its config.json")
    if vae is None:
        return size
    return size * 2 ** (len(cast("Any", vae.config).block_out_channels) - 1)


def fixed_variance(scheduler_config: dict[str, Any]) -> dict[str, Any]:
    """The scheduler's configuration, a learned variance replaced by the schedule's own."""
    learned = scheduler_config.get("variance_type") in _LEARNED_VARIANCE
    return scheduler_config | ({"variance_type": "fixed_small"} if learned else {})


def drop_variance(folder: Path, unet: UNet2DConditionModel, *, drawn: int) -> None:
    """The UNet answers with the `drawn` channels of its prediction alone, without those of its variance.

    Raises:
        ModelInvalid: it answers something else than the prediction, or that and its variance.
    """
    config = cast("Any", unet.config)
    answers = int(config.out_channels)
    if answers == drawn:
        return
    if answers != 2 * drawn:
        raise ModelInvalid(
            f"{folder / 'unet'} takes {config.in_channels} channels and answers {answers}: "
            "in-painting, upscaling and editing models are no bases, use a text-to-image model"
        )
    old = unet.conv_out
    new = nn.Conv2d(old.in_channels, drawn, kernel_size=old.kernel_size, padding=old.padding)  # pyright: ignore[reportArgumentType] - torch types tuples loosely
    with torch.no_grad():
        new.weight.copy_(old.weight[:drawn])
        if new.bias is not None and old.bias is not None:
            new.bias.copy_(old.bias[:drawn])
    unet.conv_out = new
    unet.register_to_config(out_channels=drawn)


def _save_part(model: nn.Module, folder: Path, dtype: torch.dtype) -> None:
    copied = cast("Any", _move(copy.deepcopy(model), device="cpu", dtype=dtype))
    with quiet():
        copied.save_pretrained(folder, safe_serialization=True)
    config = read_json(folder / "config.json")
    if config.pop("_name_or_path", None) is not None:  # where it lay on this machine is nobody's business
        _write_json(folder / "config.json", config)


def _move(model: nn.Module, *, device: str, dtype: torch.dtype) -> nn.Module:
    return nn.Module.to(model, device=device, dtype=dtype)  # diffusers' own `to` warns of what does not concern us


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _new_index(base: Base) -> dict[str, Any]:
    index: dict[str, Any] = {"_class_name": "SutiBase", "unet": ["diffusers", type(base.unet).__name__]}
    for (model_name, tokenizer_name), model, tokenizer in zip(
        _TEXT_PARTS, base.text.models, base.text.tokenizers, strict=False
    ):
        index[model_name] = ["transformers", type(model).__name__]
        index[tokenizer_name] = ["transformers", type(tokenizer).__name__]
    if base.vae is not None:
        index["vae"] = ["diffusers", type(base.vae).__name__]
    name = str(base.scheduler_config.get("_class_name", "DDPMScheduler"))
    return index | {"scheduler": ["diffusers", name], "force_zeros_for_empty_prompt": base.text.zero_empty}
