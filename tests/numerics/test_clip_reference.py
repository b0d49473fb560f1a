"""Our CLIP path against transformers' own CLIPModel with the same weights."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import open_clip
import torch
from open_clip.model import CLIP
from PIL import Image
from torch import Tensor
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from suti.ml.clip.encoder import load_clip, save_clip

_CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 2, "width": 32, "head_width": 16, "patch_size": 4},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


def _reference() -> CLIPModel:
    shared = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": "gelu", "projection_dim": 16}
    vision = {**shared, "hidden_size": 32, "intermediate_size": 128, "image_size": 16, "patch_size": 4}
    # eos_token_id 2 is what OpenAI's own checkpoints carry: it makes transformers pool at the highest token.
    text = {
        **shared,
        "hidden_size": 16,
        "intermediate_size": 64,
        "max_position_embeddings": 16,
        "vocab_size": 49408,
        "eos_token_id": 2,
    }
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).eval()
    for parameter in model.parameters():  # transformers starts near zero, where errors would hide
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def _block(theirs: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    ours = {}
    for kind in ("weight", "bias"):
        parts = [theirs[f"{prefix}.self_attn.{name}_proj.{kind}"] for name in "qkv"]
        ours[f"attn.in_proj_{kind}"] = torch.cat(parts)
        ours[f"attn.out_proj.{kind}"] = theirs[f"{prefix}.self_attn.out_proj.{kind}"]
        ours[f"ln_1.{kind}"] = theirs[f"{prefix}.layer_norm1.{kind}"]
        ours[f"ln_2.{kind}"] = theirs[f"{prefix}.layer_norm2.{kind}"]
        ours[f"mlp.c_fc.{kind}"] = theirs[f"{prefix}.mlp.fc1.{kind}"]
        ours[f"mlp.c_proj.{kind}"] = theirs[f"{prefix}.mlp.fc2.{kind}"]
    return ours


def _translated(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    ours = {
        "logit_scale": theirs["logit_scale"],
        "positional_embedding": theirs["text_model.embeddings.position_embedding.weight"],
        "token_embedding.weight": theirs["text_model.embeddings.token_embedding.weight"],
        "text_projection": theirs["text_projection.weight"].T,
        "visual.proj": theirs["visual_projection.weight"].T,
        "visual.class_embedding": theirs["vision_model.embeddings.class_embedding"],
        "visual.conv1.weight": theirs["vision_model.embeddings.patch_embedding.weight"],
        "visual.positional_embedding": theirs["vision_model.embeddings.position_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        ours[f"ln_final.{kind}"] = theirs[f"text_model.final_layer_norm.{kind}"]
        ours[f"visual.ln_pre.{kind}"] = theirs[f"vision_model.pre_layrnorm.{kind}"]
        ours[f"visual.ln_post.{kind}"] = theirs[f"vision_model.post_layernorm.{kind}"]
    for layer in range(2):
        for mine, their in (("transformer", "text_model"), ("visual.transformer", "vision_model")):
            block = _block(theirs, f"{their}.encoder.layers.{layer}")
            ours |= {f"{mine}.resblocks.{layer}.{name}": tensor for name, tensor in block.items()}
    return ours


def test_embeddings_equal_those_of_transformers_clip(tmp_path: Path) -> None:
    theirs = _reference()
    ours = CLIP(**_CONFIG)
    incompatible = ours.load_state_dict(_translated(theirs.state_dict()), strict=False)
    assert incompatible.missing_keys == ["attn_mask"] or not incompatible.missing_keys
    save_clip(ours, _CONFIG, tmp_path, dtype=torch.float32)
    clip = load_clip(str(tmp_path))
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for _ in range(3)]
    texts = ["a photo of a fish", "a very long text " * 9, ""]

    processor = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=16)
    pixels: Any = processor(images=pictures, return_tensors="pt")
    tokens = cast(Tensor, open_clip.get_tokenizer(f"local-dir:{tmp_path}")(texts))
    with torch.inference_mode():
        answer = theirs(input_ids=tokens, pixel_values=pixels["pixel_values"], return_dict=True)

    torch.testing.assert_close(clip.encode_pictures(pictures), cast(Tensor, answer.image_embeds), atol=2e-5, rtol=0)
    torch.testing.assert_close(clip.encode_texts(texts), cast(Tensor, answer.text_embeds), atol=2e-5, rtol=0)
