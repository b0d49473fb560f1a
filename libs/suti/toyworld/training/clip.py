"""Training the toy CLIP: contrastive learning on drawn pictures and their captions (Radford et al. 2021, figure 3).

Legend: N pairs, D embedding width.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from suti.ml.clip.files import save_clip
from suti.toyworld.training.pool import CaptionedPool

CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 32, "layers": 4, "width": 128, "head_width": 32, "patch_size": 4},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
}
_MEAN, _STD = 0.5, 0.5


def contrastive_loss(picture_ND: Tensor, text_ND: Tensor, scale: Tensor) -> Tensor:
    """Symmetric cross entropy of which text belongs to which picture. Rows of unit length; a scalar."""
    logits_NN = scale * picture_ND @ text_ND.T
    own_N = torch.arange(logits_NN.shape[0])
    return (F.cross_entropy(logits_NN, own_N) + F.cross_entropy(logits_NN.T, own_N)) / 2


def train_clip(
    pool: CaptionedPool,
    folder: Path,
    *,
    steps: int,
    batch: int = 256,
    learning_rate: float = 1e-3,
    seed: int = 0,
    progress: Callable[[int, int, float], None] | None = None,
) -> None:
    """Train a CLIP of about a million weights beside its embeddings and save it in open_clip's layout."""
    torch.manual_seed(seed)
    model = cast("Any", open_clip.CLIP(**CONFIG))
    model.visual.preprocess_cfg = {"size": 32, "mean": (_MEAN,) * 3, "std": (_STD,) * 3}
    tokenizer = cast("Any", open_clip.SimpleTokenizer(context_length=CONFIG["text_cfg"]["context_length"]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.05, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=learning_rate, total_steps=steps, pct_start=0.1)
    model.train()
    for step in range(steps):
        pictures_NCHW, captions = pool.captioned(step, batch)
        with torch.autocast("cpu", torch.bfloat16):
            picture_ND, text_ND, scale = model(pictures_NCHW, tokenizer(captions))
        loss = contrastive_loss(picture_ND.float(), text_ND.float(), scale)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6052)  # a temperature of at most 100, as in the paper
        if progress is not None:
            progress(step + 1, steps, float(loss.detach()))
    preprocess = {"mean": [_MEAN] * 3, "std": [_STD] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    save_clip(model.eval(), {"model_cfg": CONFIG, "preprocess_cfg": preprocess}, folder)
