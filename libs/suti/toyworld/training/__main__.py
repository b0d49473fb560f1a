"""`make toy-models`: draw training pictures, then train CLIP, a first base, base and warm start, superres, dino."""

import argparse
import json
from pathlib import Path

import torch
from tqdm import tqdm

from suti.ml.apprentice.training import TrainingCallback
from suti.toyworld import words
from suti.toyworld.training.base import train_base
from suti.toyworld.training.clip import train_clip
from suti.toyworld.training.dino import draw_views, train_dino
from suti.toyworld.training.drawings import draw_of_all_skills, draw_raw_clusters
from suti.toyworld.training.joint import JointRecipe, train_together, weight_as_single
from suti.toyworld.training.pool import captioned_pool
from suti.toyworld.training.superres import (
    FACTOR,
    SuperResolutionRecipe,
    picture_pairs,
    train_super_resolution,
)

MODELS = Path(__file__).parents[1] / "models"
SIZE_PX = 32


def main() -> None:
    """Train what is asked for. The defaults add up to what the committed models had, in several pieces."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "models", nargs="*", default=["clip", "base", "warmstart", "superres", "dino"], help="which, in this order"
    )
    parser.add_argument("--folder", type=Path, default=MODELS)
    parser.add_argument("--cache", type=Path, default=Path(".cache/toyworld"), help="drawn pictures are kept here")
    parser.add_argument("--clusters", type=int, default=10000, help="raw clusters of eight pictures")
    parser.add_argument("--pictures", type=int, default=32000, help="single pictures of all skills")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clip-steps", type=int, default=2500)
    parser.add_argument("--base-steps", type=int, default=1000)
    parser.add_argument("--warmstart-steps", type=int, default=12000)
    parser.add_argument("--superres-steps", type=int, default=1200)
    parser.add_argument("--superres-pictures", type=int, default=6000, help="drawn at both sizes")
    parser.add_argument("--dino-minutes", type=float, default=20.0, help="of processor time")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder: Path = options.folder
    if set(options.models) - {"superres", "dino"}:
        _train_drawers(options, folder)
    if "superres" in options.models:
        low, high = (
            draw_of_all_skills(options.superres_pictures, size_px=size, cache=options.cache, processes=options.threads)
            for size in (SIZE_PX, SIZE_PX * FACTOR)
        )
        train_super_resolution(
            picture_pairs(low, high),
            folder / "superres",
            base=folder / "base",
            recipe=SuperResolutionRecipe(steps=options.superres_steps),
            progress=_bar("superres"),
        )
    if "dino" in options.models:
        views_SVCHW, kinds_S = draw_views(1000, cache=options.cache)
        train_dino(folder / "dino", views_SVCHW=views_SVCHW, kinds_S=kinds_S, minutes=options.dino_minutes)


def _train_drawers(options: argparse.Namespace, folder: Path) -> None:
    clusters = draw_raw_clusters(options.clusters, views_each=8, size_px=SIZE_PX, cache=options.cache)
    singles = draw_of_all_skills(options.pictures, size_px=SIZE_PX, cache=options.cache)
    if "clip" in options.models:
        train_clip(captioned_pool(clusters, singles), folder / "clip", steps=options.clip_steps, progress=_bar("clip"))
        (folder / "clip" / "tags.json").write_text(json.dumps(words.tags(), indent=2) + "\n", encoding="utf-8")
    if "base" in options.models:
        train_base(captioned_pool(clusters, singles), folder / "base", steps=options.base_steps, progress=_bar("base"))
    if "warmstart" in options.models:
        recipe = JointRecipe(steps=options.warmstart_steps)
        pool = captioned_pool(singles, weight=weight_as_single)
        train_together(clusters, pool, folder, recipe=recipe, progress=_bar("warmstart"))


def _bar(name: str) -> TrainingCallback:
    bar = tqdm(desc=name, unit="step", mininterval=5)

    def show(done: int, total: int, loss: float) -> None:
        bar.total = total
        bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        bar.update(done - bar.n)

    return show


if __name__ == "__main__":
    main()
