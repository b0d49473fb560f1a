"""What a CLIP's thresholds are found from: held-out pages as they are, pages shuffled, and pictures copied.

Nobody has to label anything: pictures of one page mostly show one thing, pictures of as many pages do not, and what was
re-encoded, cropped or brightened is a copy. Pages that are no good (a gallery of strangers) are noise that balanced
accuracy bears.

Legend: K pictures of one cluster, N pictures, D embedding width.
"""

import io
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from suti.core.seeds import derive_seed
from suti.ml.clip.encoder import ClipEncoder
from suti.ml.clusters.calibrate import CalibrationImpossible

LEAST_CLUSTERS = 8
MOST_PICTURES = 10  # of one cluster, as in the paper
COPIES = 3  # of one picture

type Report = Callable[[int, int, str], None]  # done, total, what
type Open = Callable[[], Image.Image]


@dataclass(frozen=True)
class HeldOut:
    """Embeddings by kind of cluster, and what a copy guard would see."""

    same: Sequence[Tensor]  # (K, D) each: a page's pictures
    mixed: Sequence[Tensor]  # (K, D): of K pages one picture each
    copied: Sequence[Tensor]  # (1 + COPIES, D): a picture and its copies
    neighbours: Sequence[float]  # each picture's similarity to the nearest other one of its page
    copies: Sequence[float]  # each copy's similarity to its picture


def measure_held_out(
    clusters: Mapping[str, Sequence[Open]],
    *,
    clip: ClipEncoder,
    seed: int = 0,
    batch: int = 64,
    progress: Report = lambda done, total, what: None,
) -> HeldOut:
    """Encode the pictures of held-out clusters, and copies of one picture of each. The same arguments, the same answer.

    Of a cluster with more than MOST_PICTURES the first ones are taken, of fewer than two none.

    Raises:
        CalibrationImpossible: fewer than LEAST_CLUSTERS clusters have two pictures.
    """
    usable = {name: list(clusters[name])[:MOST_PICTURES] for name in sorted(clusters) if len(clusters[name]) > 1}
    if len(usable) < LEAST_CLUSTERS:
        raise CalibrationImpossible(
            f"{len(usable)} held-out clusters have two pictures or more, {LEAST_CLUSTERS} are needed: "
            "give a larger crawl, or a run that grouped one"
        )
    total, done = sum(map(len, usable.values())) + COPIES * len(usable), 0
    same: list[Tensor] = []
    copied: list[Tensor] = []
    for pictures in usable.values():
        opened = [open_one() for open_one in pictures]
        rows_ND = clip.encode_pictures([*opened, *copies_of(opened[0])], batch=batch, pad=False)
        same.append(rows_ND[: len(opened)])
        copied.append(torch.cat([rows_ND[:1], rows_ND[len(opened) :]]))
        done += len(opened) + COPIES
        progress(done, total, f"encoding {len(usable)} clusters")
    return HeldOut(
        same=same,
        mixed=shuffled(same, seed=seed),
        copied=copied,
        neighbours=[score for rows_KD in same for score in _nearest(rows_KD)],
        copies=[score for rows_KD in copied for score in (rows_KD[1:] @ rows_KD[0]).tolist()],
    )


def shuffled(clusters: Sequence[Tensor], *, seed: int) -> list[Tensor]:
    """Clusters of the same sizes, in each of which no two pictures are of one page (as far as there are pages).

    Shapes: each (K, D) -> each (K, D).
    """
    mixed: list[Tensor] = []
    for index, rows_KD in enumerate(clusters):
        choose = random.Random(derive_seed(seed, "calibrate-mixed", index))  # noqa: S311 - no secret
        pages = choose.sample(range(len(clusters)), min(len(rows_KD), len(clusters)))
        mixed.append(torch.stack([clusters[page][choose.randrange(len(clusters[page]))] for page in pages]))
    return mixed


def copies_of(picture: Image.Image) -> list[Image.Image]:
    """COPIES of a picture as the web makes them: re-encoded, cropped by a twentieth, shrunk and brightened."""
    rgb = picture.convert("RGB")
    edge_x, edge_y = rgb.width // 40, rgb.height // 40
    cropped = rgb.crop((edge_x, edge_y, rgb.width - edge_x, rgb.height - edge_y))
    smaller = rgb.resize((max(8, rgb.width * 3 // 4), max(8, rgb.height * 3 // 4)), Image.Resampling.BICUBIC)
    return [
        _jpeg(rgb),
        cropped.resize(rgb.size, Image.Resampling.BICUBIC),
        ImageEnhance.Brightness(smaller).enhance(1.06),
    ]


def _jpeg(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=60)
    return Image.open(buffer, formats=["JPEG"]).convert("RGB")


def _nearest(rows_KD: Tensor) -> list[float]:
    """Each row's cosine with the nearest other one. Shapes: (K, D), K > 1 -> K numbers in [-1, 1]."""
    cosines_KK = (rows_KD @ rows_KD.T).fill_diagonal_(-2.0)
    nearest: list[float] = cosines_KK.amax(dim=1).tolist()
    return nearest
