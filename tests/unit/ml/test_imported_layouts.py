"""A real base that was imported can do all that the toy can: draw, be tuned, and become an apprentice."""

import copy
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn

from suti.ml.apprentice.examples import ExampleSet, Shown, SubjectExamples
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.apprentice.training import Trainer
from suti.ml.diffusion.base import Base, load_base, predict
from suti.ml.diffusion.imports import import_model
from suti.ml.diffusion.latents import to_model_space
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.diffusion.schedule import NoiseSchedule
from suti.ml.experts.drawing import Order, draw_candidates
from suti.ml.experts.lora import save_lora
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.experts.tuning import Expert, tune_expert
from suti.ml.subject.drawing import draw_subject_pictures, encode_subject
from suti.ml.subject.files import SubjectModel, load_subject_model, save_subject_model
from suti.ml.subject.network import SubjectUNet
from tests.unit.ml.diffusion import tiny_pipelines

LAYOUTS = ["stable_diffusion", "stable_diffusion_xl", "deepfloyd"]
SAMPLING = SamplingRecipe(sampler="ddim", steps=2, guidance=3.0, batch_pictures=2)
PROMPTS = ["a red mug", "a hat"]


@pytest.fixture(scope="module", params=LAYOUTS)
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random pipeline, saved by diffusers and imported by us."""
    root = tmp_path_factory.mktemp(request.param)
    getattr(tiny_pipelines, request.param)().save_pretrained(root / "theirs")
    return import_model(str(root / "theirs"), root / "ours").folder


@pytest.fixture
def base(imported: Path) -> Base:
    return load_base(imported)


def pictures_PCHW(base: Base, count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, base.size_px, base.size_px, generator=generator) * 2 - 1


def tuned(base: Base, method: str) -> Expert:
    recipe = ExpertRecipe.model_validate(
        {"method": method, "steps": 1, "batch_pictures": 2, "learning_rate": 1e-2, "optimizer": "adamw", "lora_rank": 2}
    )
    return tune_expert(base, pictures_PCHW(base, 2), ["a mug", "a red mug"], recipe=recipe, seed=1)


def drawn(expert: Expert) -> Tensor:
    orders = [Order(prompt, seed) for seed, prompt in enumerate(PROMPTS)]
    return torch.stack(list(draw_candidates(expert, orders, recipe=SAMPLING)))


def answer(base: Base, unet: nn.Module) -> Tensor:
    noise_NCHW = torch.randn(1, *base.shape_CHW, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return predict(unet, noise_NCHW, 500, base.text.encode(["a red mug"]))


def test_it_is_drawn_from(base: Base) -> None:
    pictures_NCHW = drawn(Expert(base=base, unet=base.unet, text=base.text, losses=()))

    assert pictures_NCHW.shape == (2, 3, 16, 16)
    assert float(pictures_NCHW.std()) > 0


@pytest.mark.parametrize("method", ["dreambooth", "lora"])
def test_an_expert_is_tuned_on_it_and_draws_otherwise(method: str, base: Base) -> None:
    before_NCHW = drawn(Expert(base=base, unet=base.unet, text=base.text, losses=()))

    after_NCHW = drawn(tuned(base, method))

    # The first step of an adapter moves the half that starts at zero alone: that is enough to be seen.
    assert not torch.equal(before_NCHW, after_NCHW)
    assert bool(torch.isfinite(after_NCHW).all())


def test_peft_and_diffusers_load_its_adapter_and_answer_alike(base: Base, tmp_path: Path) -> None:
    expert = tuned(base, "lora")
    save_lora(expert.unet, tmp_path)
    fresh: Any = copy.deepcopy(base.unet)
    expected = answer(base, expert.unet)

    by_peft = PeftModel.from_pretrained(copy.deepcopy(base.unet), str(tmp_path))  # pyright: ignore[reportArgumentType] - any nn.Module will do
    fresh.load_lora_adapter(tmp_path, weight_name="adapter_model.safetensors", prefix="base_model.model")

    assert not torch.allclose(expected, answer(base, base.unet))
    torch.testing.assert_close(answer(base, by_peft), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(answer(base, fresh), expected, rtol=1e-5, atol=1e-6)


@torch.inference_mode()
def test_its_untrained_apprentice_answers_bit_for_bit_as_diffusers_own_unet(imported: Path, base: Base) -> None:
    unet_class = import_module("diffusers").UNet2DConditionModel
    theirs = load_base(imported).unet
    assert type(theirs) is unet_class
    network = SubjectUNet(base.unet).eval()
    shape = base.shape_CHW
    noise_NCHW = torch.randn(4, *shape, generator=torch.Generator().manual_seed(2))
    t_N, text = torch.tensor([3, 40, 500, 999]), base.text.encode([*PROMPTS, "", "a"])

    context = network.encode(noise_NCHW[:3].unsqueeze(0), base.text.encode(["a mug", "", "a hat"]))

    expected = predict(theirs, noise_NCHW, t_N, text)
    assert len(network.added) > 0
    assert torch.equal(network(noise_NCHW, t_N, text), expected)
    assert torch.equal(network(noise_NCHW, t_N, text, subject=context), expected)
    assert torch.equal(network(noise_NCHW, t_N, text, subject=context, unseen=2), expected)


def test_an_apprentice_is_trained_on_it_comes_back_from_disk_and_draws_its_demonstrations(
    base: Base, tmp_path: Path
) -> None:
    model = SubjectModel(base=base, network=SubjectUNet(base.unet))
    train(model, base, ["a mug", "a red mug", "a hat"])
    save_subject_model(model, tmp_path / "apprentice", dtype=torch.float32)

    again = load_subject_model(tmp_path / "apprentice")

    model.network.eval()
    shown_KCHW = pictures_PCHW(base)
    ours, theirs, blind = (
        draw_subject_pictures(
            which,
            prompts=PROMPTS,
            seeds=[1, 2],
            subject=encode_subject(which, shown_KCHW, ["a mug", "a red mug", "a hat"]) if seeing else None,
            recipe=SAMPLING,
        )
        for which, seeing in ((model, True), (again, True), (again, False))
    )
    assert ours.shape == (2, *base.shape_CHW)
    torch.testing.assert_close(ours, theirs)
    assert not torch.allclose(theirs, blind)


def train(model: SubjectModel, base: Base, texts: Sequence[str]) -> None:
    """Two steps: in the first one the zero projection alone has gradients to follow."""
    cluster = tuple(Shown(index, index) for index in range(len(texts)))
    latents_PCHW = to_model_space(base, pictures_PCHW(base, len(texts)))
    recipe = ApprenticeRecipe(
        optimizer="adamw", learning_rate=1e-2, batch_subjects=1, demonstrations=2, text_dropout=0.0, ema_decay=0.5
    )
    model.network.requires_grad_(requires_grad=True)
    examples = ExampleSet(latents_PCHW, base.text.encode([*texts, ""]), [SubjectExamples(cluster, cluster)])
    schedule = NoiseSchedule.from_config(base.scheduler_config)
    losses = Trainer(model.network, schedule, examples, recipe=recipe, seed=1).run(until=2)
    assert all(loss > 0 for loss in losses)
