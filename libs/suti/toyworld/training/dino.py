"""A small ViT that tells subjects apart: the toy world's stand-in for DINO ViT-S/16, in transformers' folder layout.

DINO was chosen for subject fidelity because its training, unlike CLIP's, does not ignore what sets two things of one
class apart (DreamBooth, section 4.2). Ours learns just that: two views of one subject belong together, among others of
the same class (instance discrimination: Wu et al. 2018; the loss is NT-Xent, SimCLR, equation 1).

Legend: S subjects, V views of each, N pictures of a batch, C channels, H height, W width, D embedding width.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import ViTConfig, ViTModel

from suti.core.records import Skill
from suti.core.seeds import derive_seed
from suti.ml.diffusion.pixels import from_pixels
from suti.toyworld.render import render
from suti.toyworld.seeds import Namespace, subject_of, view_seed
from suti.toyworld.subjects import Subject
from suti.toyworld.views import View, draw_view
from suti.toyworld.words import KINDS

SIZE_PX = 32
CONFIG: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "image_size": SIZE_PX,
    "patch_size": 4,
    "num_channels": 3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
# Half of the views are as crawls have them, half as target prompts ask for.
VIEWS: Sequence[Skill | None] = (None, None, None, None, *Skill)
_TEMPERATURE = 0.1
_NOISE = 0.1  # of the pictures' range: drawn pictures are not as clean as renders
_FIRST = 20_000_000  # numbers that no other training has


def draw_views(subjects_each_kind: int, *, cache: Path, first: int = _FIRST) -> tuple[Tensor, Tensor]:
    """Views of subjects of every kind, and each subject's kind. Shapes: (S, V, C, H, W) uint8, (S,)."""
    kinds_S = torch.arange(len(KINDS)).repeat_interleave(subjects_each_kind)
    path = cache / f"dino-{len(kinds_S)}x{len(VIEWS)}-{SIZE_PX}px.safetensors"
    if not path.exists():
        pieces = [_views_of(kind, first + index, subjects_each_kind) for index, kind in enumerate(KINDS)]
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"views": torch.cat(pieces)}, path)
    return load_file(path)["views"], kinds_S


def contrast(rows_ND: Tensor, *, temperature: float = _TEMPERATURE) -> Tensor:
    """Row 2i and row 2i + 1 are one subject; every other row is another (NT-Xent). Rows of unit length; a scalar."""
    logits_NN = rows_ND @ rows_ND.T / temperature
    logits_NN.fill_diagonal_(float("-inf"))
    return F.cross_entropy(logits_NN, torch.arange(len(rows_ND)) ^ 1)


def train_dino(
    folder: Path,
    *,
    views_SVCHW: Tensor,
    kinds_S: Tensor,
    minutes: float,
    subjects: int = 64,
    seed: int = 0,
    start: Path | None = None,
) -> int:
    """Train for so many minutes of processor time, from `start` if there is one; how many steps that were.

    The learning rate falls with the time that is left, so that any budget ends at rest.
    """
    torch.manual_seed(seed)
    config = cast("Any", ViTConfig)(**CONFIG, attn_implementation="eager")  # twice as fast here as sdpa
    model = ViTModel(config, add_pooling_layer=False).train()
    if start is not None:
        known = cast("Any", ViTModel).from_pretrained(start, add_pooling_layer=False, dtype=torch.float32)
        model.load_state_dict(known.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05, betas=(0.9, 0.98))
    began, step = time.process_time(), 0
    for pictures_NCHW in _batches(views_SVCHW, kinds_S, subjects=subjects, seed=seed):
        spent = (time.process_time() - began) / (60 * minutes)
        if spent >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 100) * (1 - spent)
        with torch.autocast("cpu", torch.bfloat16):
            rows_ND = model(pixel_values=pictures_NCHW).last_hidden_state[:, 0]
        loss = contrast(F.normalize(rows_ND.float(), dim=-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 100 == 0:
            print(f"step {step}, {spent:.0%} of the time, loss {float(loss.detach()):.4f}", flush=True)  # noqa: T201
    save_dino(model.eval(), folder)
    return step


def save_dino(model: ViTModel, folder: Path) -> None:
    """As transformers saves it, in half precision, with its preprocessing beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    preprocessing = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": SIZE_PX, "width": SIZE_PX},
        "resample": 3,
        "do_normalize": True,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing, indent=2) + "\n", encoding="utf-8")


def _views_of(kind: str, number: int, count: int) -> Tensor:
    pieces: list[Tensor] = []
    for start in range(0, count, 64):
        numbers = range(start, min(start + 64, count))
        subjects: list[Subject] = []
        views: list[View] = []
        for one in numbers:
            own = number * 100_000 + one
            subjects += [subject_of(Namespace.TRAIN, own, kind=kind)] * len(VIEWS)
            views += [draw_view(view_seed(Namespace.TRAIN, own, i), skill=skill) for i, skill in enumerate(VIEWS)]
        pieces.append(render(subjects, views, size_px=SIZE_PX).unflatten(0, (len(numbers), len(VIEWS))))
    return torch.cat(pieces)


def _batches(views_SVCHW: Tensor, kinds_S: Tensor, *, subjects: int, seed: int) -> Iterator[Tensor]:
    """Endless: two views each of subjects of two kinds, side by side. Shape: (N, C, H, W) in [-1, 1]."""
    of_kind = [torch.nonzero(kinds_S == kind).flatten() for kind in range(int(kinds_S.max()) + 1)]
    step = 0
    while True:
        generator = torch.Generator().manual_seed(derive_seed(seed, "dino", step))
        kinds = torch.randperm(len(of_kind), generator=generator)[:2].tolist()
        chosen = [
            rows[torch.randperm(len(rows), generator=generator)[: subjects // 2]]
            for rows in map(of_kind.__getitem__, kinds)
        ]
        chosen_S = torch.cat(chosen)
        first_S = torch.randint(0, views_SVCHW.shape[1], (len(chosen_S),), generator=generator)
        other_S = torch.randint(1, views_SVCHW.shape[1], (len(chosen_S),), generator=generator)
        pair_S2 = torch.stack([first_S, (first_S + other_S) % views_SVCHW.shape[1]], dim=1)
        pictures_NCHW = from_pixels(views_SVCHW[chosen_S[:, None], pair_S2].flatten(0, 1))
        level_N111 = torch.rand(len(pictures_NCHW), 1, 1, 1, generator=generator) * _NOISE
        yield pictures_NCHW + level_N111 * torch.randn(pictures_NCHW.shape, generator=generator)
        step += 1


def main() -> None:
    """Draw the views once, then train for so many minutes of processor time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "models" / "dino")
    parser.add_argument("--cache", type=Path, default=Path(".cache/toyworld"), help="drawn pictures are kept here")
    parser.add_argument("--subjects", type=int, default=1000, help="of each of the eight kinds")
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--start", type=Path, default=None, help="go on from the model in this folder")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    views_SVCHW, kinds_S = draw_views(options.subjects, cache=options.cache)
    steps = train_dino(
        cast(Path, options.folder),
        views_SVCHW=views_SVCHW,
        kinds_S=kinds_S,
        minutes=options.minutes,
        seed=options.seed,
        start=options.start,
    )
    print(f"{steps} steps")  # noqa: T201


if __name__ == "__main__":
    main()
