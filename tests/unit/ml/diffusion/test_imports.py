"""An import ends with a checked folder of ours, or with nothing and a reason."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from suti.ml.diffusion.base import load_base
from suti.ml.diffusion.imports import ModelExists, import_model, needed_files
from suti.ml.model_files import ModelInvalid, ModelMissing, ModelUnsafe, folder_digest

CopyOf = Callable[[str], Path]


@pytest.mark.parametrize(
    ("layout", "kind"), [("stable_diffusion", "latent"), ("stable_diffusion_xl", "latent"), ("deepfloyd", "pixel")]
)
def test_each_layout_is_imported_with_a_card_and_a_digest(
    layout: str, kind: str, saved_pipelines: dict[str, Path], tmp_path: Path
) -> None:
    imported = import_model(str(saved_pipelines[layout]), tmp_path / "models" / "mine", licence="openrail")

    card = json.loads((imported.folder / "suti.json").read_text())
    assert (card["kind"], card["size_px"], card["prediction"]) == (kind, 16, "epsilon")
    assert (card["licence"], card["source"]) == ("openrail", layout)
    assert imported.digest == folder_digest(imported.folder) == load_base(imported.folder).digest


def test_the_readme_says_the_licence_and_only_what_is_needed_is_copied(copy_of: CopyOf, tmp_path: Path) -> None:
    folder = copy_of("stable_diffusion")
    (folder / "README.md").write_text("---\nlicense: creativeml-openrail-m\ntags: [a]\n---\nlicense: not this\n")
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker" / "model.safetensors").write_bytes(b"large")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"a pickle beside good weights")
    (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"the same in half")

    imported = import_model(str(folder), tmp_path / "mine")

    assert imported.card.licence == "creativeml-openrail-m"
    assert sorted(path.name for path in (imported.folder / "unet").iterdir()) == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]
    assert not (imported.folder / "safety_checker").exists()


def test_of_two_precisions_the_full_one_is_fetched_and_of_one_that_one() -> None:
    both = ["model_index.json", "vae/config.json", "unet/diffusion_pytorch_model.safetensors"]
    half = ["text_encoder/model.fp16-00001-of-00002.safetensors", "text_encoder/model.fp16-00002-of-00002.safetensors"]
    more = ["unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.non_ema.safetensors"]
    others = ["README.md", "v1-5-pruned.ckpt", "unet/flax_model.msgpack", "tokenizer/vocab.txt", "unet/model.onnx"]

    assert sorted(needed_files([*both, *half, *more, *others])) == sorted([*both, *half, "tokenizer/vocab.txt"])


def test_a_repository_of_pickles_is_refused_before_anything_is_fetched() -> None:
    with pytest.raises(ModelUnsafe, match=r"unet/diffusion_pytorch_model\.bin"):
        needed_files(["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.bin"])


def test_a_broken_model_leaves_nothing_behind(copy_of: CopyOf, tmp_path: Path) -> None:
    folder = copy_of("stable_diffusion")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    del tensors["conv_in.bias"]
    save_file(tensors, weights)

    with pytest.raises(ModelInvalid, match=r"conv_in\.bias"):
        import_model(str(folder), tmp_path / "models" / "mine")
    assert list((tmp_path / "models").iterdir()) == []


def test_parts_of_two_models_are_refused(copy_of: CopyOf, saved_pipelines: dict[str, Path], tmp_path: Path) -> None:
    folder = copy_of("stable_diffusion_xl")
    for name in ("model.safetensors", "config.json"):
        source = saved_pipelines["stable_diffusion"] / "text_encoder" / name
        (folder / "text_encoder_2" / name).write_bytes(source.read_bytes())

    with pytest.raises(ModelInvalid, match="do not fit"):
        import_model(str(folder), tmp_path / "mine")


def test_a_place_that_is_taken_is_left_alone(saved_pipelines: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()

    with pytest.raises(ModelExists, match="another name"):
        import_model(str(saved_pipelines["stable_diffusion"]), tmp_path / "mine")


@pytest.mark.parametrize("name", ["nowhere", "./not/here", "a b/c", "../up/down"])
def test_a_name_that_is_neither_folder_nor_hub_name_is_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="no hub's OWNER/NAME"):
        import_model(name, tmp_path / "mine")


def test_a_hub_that_cannot_be_reached_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:  # a port that nobody listens on
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")

        with pytest.raises(ModelMissing, match=r"cannot be fetched.*give the folder"):
            import_model("owner/name", tmp_path / "mine")
