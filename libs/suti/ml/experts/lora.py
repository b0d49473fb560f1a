"""Experts as small adapters: LoRA (Hu et al. 2021) on a UNet's attentions, in PEFT's own file format."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save
from torch import Tensor, nn

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "add_k_proj", "add_v_proj")  # the latter two are DeepFloyd's
_PEFT_PREFIX = "base_model.model."


def with_lora(unet: nn.Module, *, rank: int, seed: int) -> nn.Module:
    """A UNet that answers as the given one until its adapter is tuned, and shares its weights with it.

    Only the adapter's weights ask for gradients. The given UNet stays as it is.
    """
    shared = copy.deepcopy(unet, memo={id(weight): weight for weight in unet.parameters()})
    with torch.random.fork_rng(devices=[]):  # peft draws from the global generator
        torch.manual_seed(seed)
        cast("Any", shared).add_adapter(_config(shared, rank))
    for name, weight in shared.named_parameters():
        if "lora_" in name:  # the others are the base's own: not ours to change
            weight.requires_grad_(True)
    return shared


def lora_weights(unet: nn.Module) -> dict[str, Tensor]:
    """The adapter's tensors, named as PEFT names them in its files."""
    state = cast("Mapping[str, Tensor]", get_peft_model_state_dict(unet))
    return {f"{_PEFT_PREFIX}{name}": value.detach().cpu().contiguous() for name, value in state.items()}


def lora_files(unet: nn.Module) -> dict[str, bytes]:
    """The files of a folder that `peft.PeftModel.from_pretrained(base_unet, folder)` loads, by name."""
    config = cast("LoraConfig", cast("Any", unet).peft_config["default"])
    return {CONFIG: _config_json(config), WEIGHTS: save(lora_weights(unet), metadata={"format": "pt"})}


def save_lora(unet: nn.Module, folder: Path) -> None:
    """Write those files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in lora_files(unet).items():
        (folder / name).write_bytes(data)


def _config(unet: nn.Module, rank: int) -> LoraConfig:
    names = [name for name, module in unet.named_modules() if isinstance(module, nn.Linear)]
    used = [target for target in _TARGETS if any(name.endswith(f".{target}") for name in names)]
    return LoraConfig(r=rank, lora_alpha=rank, target_modules=used, init_lora_weights="gaussian")


def _config_json(config: LoraConfig) -> bytes:
    content = {name: _plain(value) for name, value in config.to_dict().items()}
    return (json.dumps(content | {"inference_mode": True}, indent=2, sort_keys=True) + "\n").encode()


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, (set, frozenset)) else value
