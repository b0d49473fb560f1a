from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertConfig,
    BertLMHeadModel,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    PreTrainedTokenizerFast,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from suti.ml.captions.transformers_captioner import TransformersCaptioner
from suti.ml.model_files import ModelInvalid, ModelMissing, ModelUnsafe

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "fish", "on", "the", "beach", "red", "toy"]
PIXELS: dict[str, Any] = {"size": {"height": 16, "width": 16}}


def _tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )


def _save_blip(folder: Path) -> Path:
    text = {
        "vocab_size": len(WORDS),
        "hidden_size": 16,
        "encoder_hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "sep_token_id": 3,
        "pad_token_id": 0,
    }
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
    }
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision))
    cast(Any, model).save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(**PIXELS), _tokenizer()).save_pretrained(folder)
    return folder


def _save_pair(folder: Path) -> Path:
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    torch.manual_seed(0)
    encoder = ViTModel(ViTConfig(**sizes, image_size=16, patch_size=8))
    decoder = BertLMHeadModel(
        BertConfig(**sizes, vocab_size=len(WORDS), is_decoder=True, add_cross_attention=True, pad_token_id=0)
    )
    model: Any = VisionEncoderDecoderModel(encoder=encoder, decoder=decoder)
    for config in (model.config, model.generation_config):
        config.decoder_start_token_id, config.eos_token_id, config.pad_token_id = 2, 3, 0
    model.save_pretrained(folder)
    ViTImageProcessor(**PIXELS).save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return folder


def _pictures(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)) for _ in range(count)]


@pytest.mark.parametrize("save", [_save_blip, _save_pair])
def test_models_that_transformers_saved_itself_give_a_text_for_each_picture(tmp_path: Path, save: Any) -> None:
    captioner = TransformersCaptioner.load(str(save(tmp_path)), max_tokens=5)

    captions = captioner.caption(_pictures(3))

    assert len(captions) == 3, captions
    assert {word for caption in captions for word in caption.split()} <= set(WORDS[4:])
    assert all(len(caption.split()) <= 6 for caption in captions)
    assert captioner.caption(_pictures(3)) == captions
    assert captioner.caption([]) == []


def test_a_caption_is_what_the_model_itself_generates(tmp_path: Path) -> None:
    folder = _save_blip(tmp_path)
    processor: Any = BlipProcessor.from_pretrained(folder)
    model: Any = BlipForConditionalGeneration.from_pretrained(folder)
    pixels = processor.image_processor(images=_pictures(1), return_tensors="pt")["pixel_values"]
    tokens = model.eval().generate(pixel_values=pixels, max_new_tokens=5, do_sample=False)

    caption = TransformersCaptioner.load(str(folder), max_tokens=5).caption(_pictures(1))

    assert caption == processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    folder = _save_pair(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    with pytest.raises(ModelUnsafe):
        TransformersCaptioner.load(str(folder))


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    folder = _save_pair(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layernorm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ModelInvalid, match=r"encoder\.layernorm\.weight"):
        TransformersCaptioner.load(str(folder))


def test_a_tensor_of_another_shape_is_refused(tmp_path: Path) -> None:
    folder = _save_pair(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layernorm.weight"] = torch.zeros(3)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ModelInvalid):
        TransformersCaptioner.load(str(folder))


def test_weights_cut_short_are_refused(tmp_path: Path) -> None:
    folder = _save_pair(tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])

    with pytest.raises(ModelInvalid, match="cannot be loaded"):
        TransformersCaptioner.load(str(folder))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid):
        TransformersCaptioner.load(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelInvalid, match="cannot be loaded"):
        TransformersCaptioner.load(str(tmp_path))


def test_no_name_is_told_apart_from_a_broken_model() -> None:
    with pytest.raises(ModelMissing, match="captioner_model is empty"):
        TransformersCaptioner.load("")
