"""Experts as small adapters: LoRA (Hu et al. 2021) on a UNet, in PEFT's own file format.

An adapter here is a mapping from PEFT's names, `<module>.lora_A.weight` and `<module>.lora_B.weight`, to tensors:
A is (R, I), B is (O, R) for a linear layer; (R, I, h, w) and (O, R, 1, 1) for a convolution. R is the rank.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save
from torch import Tensor, nn

from suti.core.errors import InvalidArgument
from suti.ml.experts.recipe import LoraPart

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_PEFT_PREFIX = "base_model.model."
_TARGETS: Mapping[LoraPart, tuple[str, ...]] = {
    "attention": ("to_q", "to_k", "to_v", "to_out.0", "add_k_proj", "add_v_proj"),  # the last two are DeepFloyd's
    "feedforward": ("ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"),
    "convs": ("conv_in", "conv1", "conv2", "conv_shortcut", "conv", "conv_out"),
    "time": ("time_emb_proj", "linear_1", "linear_2"),
}


def adapted_layers(unet: nn.Module, targets: Sequence[LoraPart]) -> dict[str, nn.Linear | nn.Conv2d]:
    """The layers that LoRA adapts, by name, in the UNet's own order.

    Raises:
        InvalidArgument: the UNet has none of them.
    """
    suffixes = tuple(f".{suffix}" for part in targets for suffix in _TARGETS[part])
    found = {
        name: module
        for name, module in unet.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d)) and f".{name}".endswith(suffixes)
    }
    if not found:
        raise InvalidArgument("lora_targets", f"the UNet has no layers for {list(targets)}: name other parts")
    return found


def new_adapter(unet: nn.Module, *, rank: int, targets: Sequence[LoraPart], seed: int) -> dict[str, Tensor]:
    """An adapter that changes nothing yet: A from N(0, 1 / rank²) by the seed, B zero. float32, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    adapter: dict[str, Tensor] = {}
    for name, layer in adapted_layers(unet, targets).items():
        outputs, inputs, *window = layer.weight.shape
        adapter[f"{name}.lora_A.weight"] = torch.randn(rank, inputs, *window, generator=generator) / rank
        adapter[f"{name}.lora_B.weight"] = torch.zeros(outputs, rank, *[1 for _ in window])
    return adapter


def sharing_copy(unet: nn.Module) -> nn.Module:
    """A UNet whose modules are its own and whose weights are the given one's."""
    return copy.deepcopy(unet, memo={id(weight): weight for weight in unet.parameters()})


def with_lora(unet: nn.Module, *, rank: int, seed: int, targets: Sequence[LoraPart] = ("attention",)) -> nn.Module:
    """A UNet that answers as the given one until its adapter is tuned, and shares its weights with it.

    Only the adapter's weights ask for gradients. The given UNet stays as it is.
    """
    adapter = new_adapter(unet, rank=rank, targets=targets, seed=seed)
    shared = sharing_copy(unet)
    with torch.random.fork_rng(devices=[]):  # peft draws from the global generator
        cast("Any", shared).add_adapter(lora_config(shared, rank=rank, targets=targets))
    for name, weight in shared.named_parameters():
        if "lora_" in name:  # the others are the base's own: not ours to change
            weight.data.copy_(adapter[name.replace(".default.", ".")])
            weight.requires_grad_(True)
    return shared


def adapter_of(unet: nn.Module) -> dict[str, Tensor]:
    """The adapter of a UNet that PEFT adapted."""
    state = cast("Mapping[str, Tensor]", get_peft_model_state_dict(unet))
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def adapter_files(adapter: Mapping[str, Tensor], config: LoraConfig) -> dict[str, bytes]:
    """The files of a folder that `peft.PeftModel.from_pretrained(base_unet, folder)` loads, by name."""
    tensors = {f"{_PEFT_PREFIX}{name}": value.cpu().contiguous() for name, value in adapter.items()}
    return {CONFIG: _config_json(config), WEIGHTS: save(tensors, metadata={"format": "pt"})}


def lora_files(unet: nn.Module) -> dict[str, bytes]:
    """The same of a UNet that PEFT adapted."""
    return adapter_files(adapter_of(unet), cast("LoraConfig", cast("Any", unet).peft_config["default"]))


def save_lora(unet: nn.Module, folder: Path) -> None:
    """Write those files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in lora_files(unet).items():
        (folder / name).write_bytes(data)


def lora_config(unet: nn.Module, *, rank: int, targets: Sequence[LoraPart]) -> LoraConfig:
    """PEFT's description of such an adapter; alpha = rank, so that what is learnt is added as it is."""
    names = [f".{name}" for name in adapted_layers(unet, targets)]
    suffixes = [suffix for part in targets for suffix in _TARGETS[part]]
    used = [suffix for suffix in suffixes if any(name.endswith(f".{suffix}") for name in names)]
    return LoraConfig(r=rank, lora_alpha=rank, target_modules=used, init_lora_weights="gaussian")


def _config_json(config: LoraConfig) -> bytes:
    content = {name: _plain(value) for name, value in config.to_dict().items()}
    return (json.dumps(content | {"inference_mode": True}, indent=2, sort_keys=True) + "\n").encode()


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, (set, frozenset)) else value
