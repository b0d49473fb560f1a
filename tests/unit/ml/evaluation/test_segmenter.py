"""A tiny CLIPSeg of random weights, saved as transformers saves one: what is loaded is what was saved."""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    CLIPSegProcessor,
    CLIPTokenizer,
    ViTImageProcessor,
)

from suti.ml.evaluation.segmenter import load_segmenter
from suti.ml.model_files import ModelInvalid, ModelMissing, ModelUnsafe, folder_digest

SIDE = 32


@pytest.fixture(scope="module")
def clipseg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clipseg")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = cast(Any, CLIPTokenizer)(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=16
    )
    images = cast(Any, ViTImageProcessor)(size={"height": SIDE, "width": SIDE})
    cast(Any, CLIPSegProcessor)(images, tokenizer).save_pretrained(folder)
    shared = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 3}
    text = {**shared, "vocab_size": len(words), "max_position_embeddings": 16, "eos_token_id": len(words) - 1}
    vision = {**shared, "image_size": SIDE, "patch_size": 8}
    config = cast(Any, CLIPSegConfig)(
        text_config=text, vision_config=vision, projection_dim=16, reduce_dim=8, extract_layers=[0, 1, 2],
        decoder_num_attention_heads=2, decoder_intermediate_size=16,
    )  # fmt: skip
    torch.manual_seed(1)
    model = CLIPSegForImageSegmentation(config)
    cast(Any, model).save_pretrained(folder)
    return folder


def test_a_mask_is_what_the_model_thinks_more_likely_than_not_in_the_pictures_own_size(clipseg: Path) -> None:
    coarse = np.random.default_rng(3).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((50, 30))

    segmenter = load_segmenter(str(clipseg))
    mask = segmenter(picture, "dog")

    processor = cast(Any, CLIPSegProcessor).from_pretrained(clipseg)
    model = cast(Any, CLIPSegForImageSegmentation).from_pretrained(clipseg).eval()
    with torch.no_grad():
        logits = model(**processor(text=["dog"], images=[picture], return_tensors="pt")).logits.reshape(SIDE, SIDE)
    expected = Image.fromarray((logits > 0).to(torch.uint8).mul(255).numpy()).resize((50, 30), Image.Resampling.NEAREST)
    assert (mask.mode, mask.size) == ("L", (50, 30))
    assert np.array_equal(np.asarray(mask), np.asarray(expected))
    assert segmenter.digest == folder_digest(clipseg)


def test_what_is_no_segmenter_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "pickle").mkdir()
    (tmp_path / "pickle" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.safetensors").write_bytes(b"none")

    for name, error in {"bare": ModelInvalid, "pickle": ModelUnsafe, "other": ModelInvalid}.items():
        with pytest.raises(error):
            load_segmenter(str(tmp_path / name))
    with pytest.raises(ModelMissing):
        load_segmenter("")
