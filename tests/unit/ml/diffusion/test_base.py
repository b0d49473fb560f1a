"""Bases come from diffusers folders of any known layout, and a bad folder is named with what is wrong in it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from suti.ml.diffusion.base import load_base, save_base
from suti.ml.model_files import ModelInvalid, ModelMissing, ModelUnsafe, folder_digest

CopyOf = Callable[[str], Path]
UNET = "unet/diffusion_pytorch_model.safetensors"
LAYOUTS = ["stable_diffusion", "stable_diffusion_xl", "deepfloyd"]


@pytest.mark.parametrize(
    ("layout", "shape_CHW", "is_pixel"),
    [
        ("stable_diffusion", (4, 8, 8), False),
        ("stable_diffusion_xl", (4, 8, 8), False),
        ("deepfloyd", (3, 16, 16), True),
    ],
)
def test_each_layout_loads_and_answers_in_its_own_space(
    layout: str, shape_CHW: tuple[int, int, int], is_pixel: bool, saved_pipelines: dict[str, Path]
) -> None:
    base = load_base(saved_pipelines[layout])

    assert (base.shape_CHW, base.size_px, base.vae is None) == (shape_CHW, 16, is_pixel)
    answer_NCHW = base.predict(torch.randn(2, *shape_CHW), 5, base.text.encode(["a mug", ""]))
    assert answer_NCHW.shape == (2, *shape_CHW)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_saved_base_answers_as_before_and_is_half_the_bytes(
    layout: str, saved_pipelines: dict[str, Path], tmp_path: Path
) -> None:
    base = load_base(saved_pipelines[layout])
    noise_NCHW = torch.randn(1, *base.shape_CHW)

    save_base(base, tmp_path / "full", dtype=torch.float32)
    save_base(base, tmp_path / "half")

    again = load_base(tmp_path / "full")
    before = base.predict(noise_NCHW, 5, base.text.encode(["a mug"]))
    assert torch.equal(before, again.predict(noise_NCHW, 5, again.text.encode(["a mug"])))
    assert {value.dtype for value in load_file(tmp_path / "half" / UNET).values()} == {torch.float16}
    assert next(load_base(tmp_path / "half").unet.parameters()).dtype == torch.float32


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_saved_base_does_not_say_where_it_was_loaded_from(
    layout: str, saved_pipelines: dict[str, Path], tmp_path: Path
) -> None:
    first, second = (Path(shutil.copytree(saved_pipelines[layout], tmp_path / name)) for name in ("here", "there"))
    save_base(load_base(first), tmp_path / "one")
    save_base(load_base(second), tmp_path / "two")

    assert not [path for path in (tmp_path / "one").rglob("*.json") if str(tmp_path) in path.read_text()]
    assert folder_digest(tmp_path / "one") == folder_digest(tmp_path / "two")


def test_a_folder_with_half_precision_variants_alone_loads(copy_of: CopyOf) -> None:
    folder = copy_of("stable_diffusion")
    for path in [*folder.rglob("*.safetensors")]:
        path.rename(path.with_suffix(".fp16.safetensors"))

    assert load_base(folder).size_px == 16


def test_an_embedding_depends_on_its_own_text_alone(saved_pipelines: dict[str, Path]) -> None:
    text = load_base(saved_pipelines["stable_diffusion_xl"]).text

    alone, among = text.encode(["a mug"]), text.encode(["a dog", "a mug", "a cat " * 40])

    assert torch.equal(alone.hidden_NLD[0], among.hidden_NLD[1])
    assert alone.added is not None
    assert among.added is not None
    assert torch.equal(alone.added["text_embeds"][0], among.added["text_embeds"][1])


def test_sdxl_gets_zeros_for_the_empty_text_and_the_sizes_it_was_trained_with(
    saved_pipelines: dict[str, Path],
) -> None:
    embedding = load_base(saved_pipelines["stable_diffusion_xl"]).text.encode(["", "a mug"])

    assert embedding.added is not None
    assert not embedding.hidden_NLD[0].any()
    assert not embedding.added["text_embeds"][0].any()
    assert embedding.hidden_NLD[1].any()
    assert embedding.added["time_ids"].tolist() == [[16, 16, 0, 0, 16, 16]] * 2


def test_a_missing_tensor_is_named_with_its_folder(copy_of: CopyOf) -> None:
    folder = copy_of("stable_diffusion")
    tensors = load_file(folder / UNET)
    del tensors["conv_in.weight"]
    save_file(tensors, folder / UNET)

    with pytest.raises(ModelInvalid, match=r"unet: tensor conv_in\.weight is missing"):
        load_base(folder)


def test_a_tensor_missing_from_the_text_encoder_is_named(copy_of: CopyOf) -> None:
    folder = copy_of("stable_diffusion")
    path = folder / "text_encoder" / "model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if "position_embedding" in name)
    del tensors[name]
    save_file(tensors, path, metadata={"format": "pt"})

    with pytest.raises(ModelInvalid, match=r"text_encoder: tensor .*position_embedding\.weight is missing"):
        load_base(folder)


@pytest.mark.parametrize(
    ("file", "name"), [(UNET, "conv_in.weight"), ("text_encoder/model.safetensors", "final_layer_norm.weight")]
)
def test_a_tensor_of_another_shape_is_named(file: str, name: str, copy_of: CopyOf) -> None:
    folder = copy_of("stable_diffusion")
    tensors = load_file(folder / file)
    full_name = next(key for key in tensors if key.endswith(name))
    tensors[full_name] = torch.zeros(3, 3)
    save_file(tensors, folder / file, metadata={"format": "pt"})

    with pytest.raises(ModelInvalid, match=name.replace(".", r"\.")):
        load_base(folder)


def test_a_tensor_that_holds_no_numbers_is_named(copy_of: CopyOf) -> None:
    folder = copy_of("stable_diffusion")
    tensors = load_file(folder / UNET)
    tensors["conv_out.bias"][0] = torch.nan
    save_file(tensors, folder / UNET)

    with pytest.raises(ModelInvalid, match=r"conv_out\.bias holds NaN"):
        load_base(folder)


@pytest.mark.parametrize("part", ["unet", "text_encoder", "vae"])
def test_weights_as_pickles_are_never_opened(part: str, copy_of: CopyOf) -> None:
    folder = copy_of("stable_diffusion")
    weights = next((folder / part).glob("*.safetensors"))
    opened = folder / "opened"
    weights.with_suffix(".bin").write_bytes(_pickle_that_touches(opened))
    weights.unlink()

    with pytest.raises(ModelUnsafe, match="pickle"):
        load_base(folder)
    assert not opened.exists()


@pytest.mark.parametrize(
    "gone", ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json", "text_encoder"]
)
def test_a_missing_file_is_named(gone: str, copy_of: CopyOf) -> None:
    folder = copy_of("stable_diffusion")
    (folder / gone).rename(folder.parent / "elsewhere")

    with pytest.raises(ModelInvalid, match=f"{gone}.* is missing"):
        load_base(folder)


def test_a_tokenizer_without_its_files_is_refused(copy_of: CopyOf) -> None:
    folder = copy_of("stable_diffusion")
    for path in (folder / "tokenizer").iterdir():
        path.unlink()

    with pytest.raises(ModelInvalid, match="tokenizer"):
        load_base(folder)


def test_weights_cut_short_are_refused(copy_of: CopyOf) -> None:
    folder = copy_of("stable_diffusion")
    (folder / UNET).write_bytes((folder / UNET).read_bytes()[:5000])

    with pytest.raises(ModelInvalid, match="unet cannot be loaded"):
        load_base(folder)


def test_a_configuration_that_is_no_json_is_refused(copy_of: CopyOf) -> None:
    folder = copy_of("stable_diffusion")
    (folder / "unet" / "config.json").write_text("{")

    with pytest.raises(ModelInvalid, match=r"unet/config\.json cannot be read"):
        load_base(folder)


def test_an_in_painting_model_is_no_base(copy_of: CopyOf) -> None:
    folder = copy_of("stable_diffusion")
    config = json.loads((folder / "unet" / "config.json").read_text())
    (folder / "unet" / "config.json").write_text(json.dumps(config | {"in_channels": 9}))
    tensors = load_file(folder / UNET)
    tensors["conv_in.weight"] = torch.zeros(16, 9, 3, 3)
    save_file(tensors, folder / UNET)

    with pytest.raises(ModelInvalid, match="takes 9 channels and answers 4"):
        load_base(folder)


def test_a_folder_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="no model folder"):
        load_base(tmp_path / "nowhere")


def _pickle_that_touches(path: Path) -> bytes:
    """A pickle that would write a file if anybody opened it (protocol 0, by hand)."""
    return f"cpathlib\nPath\n(V{path}\ntR.".encode()
