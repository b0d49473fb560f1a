"""A random CLIP small enough for tests, saved as real ones are."""

from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIP

from suti.ml.clip.encoder import save_clip

CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 4},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def save_tiny_clip(folder: Path, *, seed: int = 0) -> Path:
    """The folder, with open_clip_config.json and open_clip_model.safetensors in it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CLIP(**CONFIG)
    save_clip(model, CONFIG, folder)
    return folder
