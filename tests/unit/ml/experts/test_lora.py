"""Adapters start as nothing, can be switched off, and are files that PEFT itself reads."""

import copy
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import nn

from suti.core.errors import InvalidArgument
from suti.ml.diffusion.base import Base, predict
from suti.ml.experts.lora import adapted_layers, adapter_of, new_adapter, save_lora, with_lora
from suti.ml.experts.recipe import ExpertRecipe, LoraPart
from suti.ml.experts.tuning import tune_expert
from suti.ml.experts.weights import expert_files
from tests.unit.ml.experts.tiny_base import one_cluster, tiny_base

RECIPE = ExpertRecipe(
    method="lora", optimizer="adamw", learning_rate=1e-2, steps=4, lora_rank=3, batch_pictures=2, keep_experts="lora"
)

PARTS: tuple[LoraPart, ...] = ("attention", "feedforward", "convs", "time")


def answer(base: Base, unet: nn.Module) -> torch.Tensor:
    noise_NCHW = torch.randn(1, *base.shape_CHW, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return predict(unet, noise_NCHW, 500, base.text.encode(["a red mug"]))


def test_a_new_adapter_answers_as_the_base_and_shares_its_weights() -> None:
    base = tiny_base()

    unet = with_lora(base.unet, rank=4, seed=1)

    assert torch.equal(answer(base, unet), answer(base, base.unet))
    shared = {weight.data_ptr() for weight in base.unet.parameters()}
    own = [name for name, weight in unet.named_parameters() if weight.data_ptr() not in shared]
    assert own
    assert all("lora_" in name for name in own)


def test_switched_off_it_is_the_base_bit_for_bit() -> None:
    base = tiny_base()
    expert = tune_expert(base, *one_cluster(), recipe=RECIPE, seed=1)

    on = answer(base, expert.unet)
    cast("Any", expert.unet).disable_adapters()

    assert torch.equal(answer(base, expert.unet), answer(base, base.unet))
    assert not torch.equal(on, answer(base, base.unet))


def test_its_random_start_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)

    with_lora(tiny_base_without_seeding(), rank=2, seed=1)

    assert torch.equal(torch.randn(3), expected)


def test_peft_itself_loads_the_file_and_answers_alike(tmp_path: Path) -> None:
    base = tiny_base()
    expert = tune_expert(base, *one_cluster(), recipe=RECIPE, seed=1)
    save_lora(expert.unet, tmp_path)

    loaded = PeftModel.from_pretrained(copy.deepcopy(base.unet), str(tmp_path))  # pyright: ignore[reportArgumentType] - any nn.Module will do

    torch.testing.assert_close(answer(base, loaded), answer(base, expert.unet), rtol=1e-5, atol=1e-6)


def test_diffusers_itself_loads_the_file_and_answers_alike(tmp_path: Path) -> None:
    base = tiny_base()
    expert = tune_expert(base, *one_cluster(), recipe=RECIPE, seed=1)
    save_lora(expert.unet, tmp_path)
    fresh = copy.deepcopy(base.unet)

    fresh.load_lora_adapter(load_file(tmp_path / "adapter_model.safetensors"), prefix="base_model.model")

    torch.testing.assert_close(answer(base, fresh), answer(base, expert.unet), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("part", "layer"),
    [
        ("attention", "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"),
        ("feedforward", "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj"),
        ("convs", "mid_block.resnets.0.conv1"),
        ("time", "mid_block.resnets.0.time_emb_proj"),
    ],
)
def test_the_recipe_says_which_layers_are_adapted_and_peft_reads_them_all(
    part: LoraPart, layer: str, tmp_path: Path
) -> None:
    base = tiny_base()
    recipe = RECIPE.model_copy(update={"lora_targets": (part,)})
    expert = tune_expert(base, *one_cluster(), recipe=recipe, seed=1)
    save_lora(expert.unet, tmp_path)

    loaded = PeftModel.from_pretrained(copy.deepcopy(base.unet), str(tmp_path))  # pyright: ignore[reportArgumentType] - any nn.Module will do

    layers = {name.split(".lora_")[0] for name in adapter_of(expert.unet)}
    assert layers == set(adapted_layers(base.unet, [part]))
    assert layer in layers
    assert not layers & {name for other in PARTS if other != part for name in adapted_layers(base.unet, [other])}
    torch.testing.assert_close(answer(base, loaded), answer(base, expert.unet), rtol=1e-5, atol=1e-6)


def test_a_unet_without_the_layers_asked_for_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="lora_targets"):
        new_adapter(nn.Sequential(nn.Linear(2, 2)), rank=1, targets=["attention"], seed=0)


def test_a_new_adapter_has_the_spread_that_peft_gives_it() -> None:
    adapter = new_adapter(tiny_base().unet, rank=4, targets=PARTS, seed=1)

    down = torch.cat([value.flatten() for name, value in adapter.items() if "lora_A" in name])
    assert float(down.std()) == pytest.approx(1 / 4, rel=0.02)  # peft: "gaussian" is N(0, (1 / r)^2)
    assert not any(bool(value.any()) for name, value in adapter.items() if "lora_B" in name)


def test_what_is_kept_is_an_adapter_a_whole_unet_or_nothing() -> None:
    base = tiny_base()

    def kept(**changes: object) -> list[str]:
        recipe = ExpertRecipe.model_validate(RECIPE.model_dump() | changes)
        return sorted(expert_files(tune_expert(base, *one_cluster(), recipe=recipe, seed=1), recipe))

    unet, text = "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"
    assert kept() == ["adapter_config.json", "adapter_model.safetensors"]
    assert kept(keep_experts="none") == []
    assert kept(method="dreambooth", keep_experts="all") == [unet]
    assert kept(method="dreambooth", keep_experts="all", train_text_encoder=True) == [text, unet]


def tiny_base_without_seeding() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return tiny_base().unet
