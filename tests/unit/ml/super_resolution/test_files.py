"""Folders of super-resolution models: loaded whole, imported, or refused with what is wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from suti.ml.diffusion.base import load_base
from suti.ml.diffusion.imports import import_model
from suti.ml.model_files import ModelInvalid, ModelMissing, ModelUnsafe, folder_digest
from suti.ml.super_resolution.files import load_super_resolution
from suti.stages.generation.entries import ModelKind, entry_of_folder
from tests.unit.ml.diffusion import tiny_pipelines
from tests.unit.ml.super_resolution.tiny_upscalers import (
    LOW_PX,
    deepfloyd_second_stage,
    saved,
    stable_diffusion_upscaler,
)

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("upscalers")
    made: dict[str, Callable[[], Any]] = {"latent": stable_diffusion_upscaler, "pixel": deepfloyd_second_stage}
    return {name: saved(make(), root / name) for name, make in made.items()}


@pytest.fixture(params=["latent", "pixel"])
def folder(request: pytest.FixtureRequest, layouts: dict[str, Path], tmp_path: Path) -> Path:
    """Each layout, to be broken."""
    return Path(shutil.copytree(layouts[request.param], tmp_path / str(request.param)))


def change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_each_layout_is_listed_and_loaded_with_its_factor_and_size(folder: Path) -> None:
    entry, model = entry_of_folder("up", "0" * 64, folder), load_super_resolution(folder)

    assert (entry.kind, entry.size_px, entry.factor) == (ModelKind.SUPER_RESOLUTION, 4 * LOW_PX, 4)
    assert entry.form == model.form
    assert (model.form.low_px, model.form.factor) == (LOW_PX, 4)
    assert (model.vae is not None) == model.form.latent == (folder.name == "latent")
    assert model.channels == (4 if model.form.latent else 3)  # the learned variance is left out
    assert model.form.max_noise_level == (350 if model.form.latent else 999)
    assert model.digest == folder_digest(folder)


def test_each_layout_is_imported_and_loads_again(folder: Path, tmp_path: Path) -> None:
    imported = import_model(str(folder), tmp_path / "models" / "mine")

    assert (imported.card.kind, imported.card.factor) == ("super-resolution", 4)
    assert imported.card.prediction == ("v_prediction" if folder.name == "latent" else "epsilon")
    assert load_super_resolution(imported.folder).form == load_super_resolution(folder).form


def test_its_own_way_of_enlarging_stands_in_sampling_json(folder: Path) -> None:
    (folder / "sampling.json").write_text('{"steps": 7, "noise_level": 3, "guidance": 2}')

    enlarging = entry_of_folder("up", "0" * 64, folder).enlarging

    assert enlarging is not None
    assert (enlarging.steps, enlarging.noise_level, enlarging.guidance) == (7, 3, 2.0)
    (folder / "sampling.json").write_text('{"noise_level": 1000}')
    with pytest.raises(ModelInvalid, match=r"sampling\.json"):
        entry_of_folder("up", "0" * 64, folder)


def test_a_card_may_state_another_factor_of_a_pixel_model(layouts: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(layouts["pixel"], tmp_path / "pixel"))
    (folder / "suti.json").write_text('{"factor": 2, "align_corners": false}')

    assert load_super_resolution(folder).form.low_px == 2 * LOW_PX
    (folder / "suti.json").write_text('{"factor": 3}')
    with pytest.raises(ModelInvalid, match="divides 32"):
        load_super_resolution(folder)


def test_what_enlarges_is_no_base_and_what_draws_does_not_enlarge(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match="super-resolution"):
        load_base(folder)
    with pytest.raises(ModelInvalid, match="enlarges nothing"):
        load_super_resolution(saved(tiny_pipelines.stable_diffusion(), tmp_path / "base"))
    with pytest.raises(ModelMissing):
        load_super_resolution(tmp_path / "nowhere")


def test_a_network_that_takes_other_channels_or_no_noise_level_is_refused(folder: Path) -> None:
    unet = folder / "unet" / "config.json"
    theirs = json.loads(unet.read_text())
    tensors = load_file(folder / "unet" / WEIGHTS)

    change(unet, in_channels=theirs["in_channels"] + 1)
    widened = tensors["conv_in.weight"].repeat(1, 2, 1, 1)[:, : theirs["in_channels"] + 1].contiguous()
    save_file(tensors | {"conv_in.weight": widened}, folder / "unet" / WEIGHTS)
    with pytest.raises(ModelInvalid, match="channels"):
        load_super_resolution(folder)

    change(unet, in_channels=theirs["in_channels"], num_class_embeds=None, class_embed_type=None)
    kept = {name: value for name, value in tensors.items() if not name.startswith("class_embedding")}
    save_file(kept, folder / "unet" / WEIGHTS)
    with pytest.raises(ModelInvalid, match="noise level"):
        load_super_resolution(folder)


def test_a_broken_folder_says_what_is_wrong(folder: Path) -> None:
    change(folder / "unet" / "config.json", sample_size=None)
    with pytest.raises(ModelInvalid, match="sample_size"):
        load_super_resolution(folder)
    change(folder / "unet" / "config.json", sample_size=4 * LOW_PX)
    (folder / "unet" / WEIGHTS).rename(folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(ModelUnsafe):
        load_super_resolution(folder)
    (folder / "model_index.json").write_text("{")
    if folder.name == "latent":  # whose limit of noise stands there
        with pytest.raises(ModelInvalid, match="model_index"):
            load_super_resolution(folder)
    shutil.rmtree(folder / "text_encoder")


def test_an_upscaler_without_its_vae_is_incomplete(layouts: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(layouts["latent"], tmp_path / "latent"))
    shutil.rmtree(folder / "vae")

    with pytest.raises(ModelInvalid, match=r"vae/config\.json"):
        load_super_resolution(folder)
