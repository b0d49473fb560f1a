import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from suti.ml.clip.encoder import ClipEncoder, load_clip
from suti.ml.clip.files import CONFIG, WEIGHTS
from suti.ml.model_files import ModelInvalid, ModelMissing, ModelUnsafe
from tests.unit.ml.clip.tiny import save_tiny_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(folder: Path) -> ClipEncoder:
    return load_clip(str(folder))


def _pictures(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)) for _ in range(count)]


def test_rows_have_unit_length_and_keep_their_order(clip: ClipEncoder) -> None:
    pictures = _pictures(5)

    rows = clip.encode_pictures(pictures)
    texts = clip.encode_texts(["a cat", "a dog", ""])

    assert rows.shape == (5, clip.width)
    assert rows.dtype == torch.float32
    assert texts.shape == (3, clip.width)
    torch.testing.assert_close(torch.cat([rows, texts]).norm(dim=-1), torch.ones(8))
    assert torch.equal(clip.encode_pictures(pictures[::-1]), rows.flip(0))


def test_a_picture_has_the_same_bits_however_the_pictures_are_cut_into_shards(clip: ClipEncoder) -> None:
    pictures = _pictures(11)
    whole = clip.encode_pictures(pictures, batch=4)

    cut = [clip.encode_pictures(part, batch=4) for part in (pictures[:3], pictures[3:4], pictures[4:])]

    assert torch.equal(torch.cat(cut), whole)


def test_a_row_depends_on_its_neighbours_by_no_more_than_rounding(clip: ClipEncoder) -> None:
    pictures = _pictures(7)

    alone = clip.encode_pictures(pictures, batch=1, pad=False)

    torch.testing.assert_close(clip.encode_pictures(pictures, batch=64, pad=False), alone, atol=1e-6, rtol=0)


def test_texts_have_the_same_bits_however_they_are_cut(clip: ClipEncoder) -> None:
    texts = [f"a photo of {count} fish" for count in range(6)]

    assert torch.equal(
        torch.cat([clip.encode_texts([text], batch=4) for text in texts]), clip.encode_texts(texts, batch=4)
    )


def test_pixels_in_a_tensor_count_as_pictures(clip: ClipEncoder) -> None:
    pictures = _pictures(2)
    pixels = torch.stack([torch.from_numpy(np.array(picture)).permute(2, 0, 1) for picture in pictures])

    assert torch.equal(clip.encode_pictures(pixels), clip.encode_pictures(pictures))


def test_nothing_encodes_to_nothing(clip: ClipEncoder) -> None:
    assert clip.encode_pictures([]).shape == (0, clip.width)
    assert clip.encode_texts([]).shape == (0, clip.width)


def test_a_text_longer_than_the_context_is_cut(clip: ClipEncoder) -> None:
    assert torch.isfinite(clip.encode_texts(["fish " * 1000])).all()


def test_every_encode_is_counted(folder: Path) -> None:
    clip = load_clip(str(folder))

    clip.encode_pictures(_pictures(3), batch=2)

    assert clip.pictures_encoded == 3


def test_open_clip_itself_reads_what_we_save(folder: Path, clip: ClipEncoder) -> None:
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    picture = _pictures(1)[0]
    pixels = cast(Callable[[Image.Image], Tensor], preprocess)(picture)

    with torch.inference_mode():
        theirs = cast(CLIP, model.eval()).encode_image(pixels[None], normalize=True)

    torch.testing.assert_close(clip.encode_pictures([picture], batch=1), theirs)


def test_weights_are_stored_in_half_precision(folder: Path) -> None:
    kinds = {tensor.dtype for name, tensor in load_file(folder / WEIGHTS).items() if name != "logit_scale"}

    assert kinds == {torch.float16}


def test_the_digest_follows_the_weights_and_nothing_else(tmp_path: Path, clip: ClipEncoder) -> None:
    same, other = save_tiny_clip(tmp_path / "same"), save_tiny_clip(tmp_path / "other", seed=1)
    (same / "README.md").write_text("notes")

    assert load_clip(str(same)).digest == clip.digest
    assert load_clip(str(other)).digest != clip.digest


def _break(folder: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


def _without_projection(tensors: dict[str, Tensor]) -> None:
    del tensors["text_projection"]


def _with_a_wrong_shape(tensors: dict[str, Tensor]) -> None:
    tensors["visual.proj"] = torch.zeros(3, 3)


def _with_nan(tensors: dict[str, Tensor]) -> None:
    tensors["ln_final.bias"] = torch.full_like(tensors["ln_final.bias"], float("nan"))


def _with_a_stranger(tensors: dict[str, Tensor]) -> None:
    tensors["stranger"] = torch.zeros(1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_without_projection, "text_projection"),
        (_with_a_wrong_shape, "visual.proj"),
        (_with_nan, "ln_final.bias"),
        (_with_a_stranger, "stranger"),
    ],
)
def test_a_broken_tensor_is_named(tmp_path: Path, change: Callable[[dict[str, Tensor]], None], named: str) -> None:
    folder = save_tiny_clip(tmp_path)
    _break(folder, change)

    with pytest.raises(ModelInvalid, match=named):
        load_clip(str(folder))


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    folder = save_tiny_clip(tmp_path)
    (folder / WEIGHTS).rename(folder / "open_clip_pytorch_model.bin")

    with pytest.raises(ModelUnsafe, match="safetensors"):
        load_clip(str(folder))


@pytest.mark.parametrize("content", [b"", b"no weights", b"\xff" * 64])
def test_weights_that_are_none_are_refused(tmp_path: Path, content: bytes) -> None:
    folder = save_tiny_clip(tmp_path)
    (folder / WEIGHTS).write_bytes(content)

    with pytest.raises(ModelInvalid, match="cannot be read"):
        load_clip(str(folder))


@pytest.mark.parametrize(
    "config",
    ["", "[]", "{}", '{"model_cfg": {}}', json.dumps({"model_cfg": {"embed_dim": 4, "vision_cfg": 3, "text_cfg": {}}})],
)
def test_a_configuration_of_no_clip_is_refused(tmp_path: Path, config: str) -> None:
    folder = save_tiny_clip(tmp_path)
    (folder / CONFIG).write_text(config)

    with pytest.raises(ModelInvalid, match="describes no CLIP"):
        load_clip(str(folder))


def test_a_folder_without_configuration_or_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match=r"no \.safetensors"):
        load_clip(str(tmp_path))
    save_tiny_clip(tmp_path)
    (tmp_path / CONFIG).unlink()
    with pytest.raises(ModelInvalid, match=CONFIG):
        load_clip(str(tmp_path))


@pytest.mark.parametrize("name", ["", "nobody", "ViT-L-14/nobody", "../etc", "/no/such/folder"])
def test_an_unknown_name_is_told_apart_from_a_broken_model(name: str) -> None:
    with pytest.raises(ModelMissing, match="no CLIP"):
        load_clip(name)
