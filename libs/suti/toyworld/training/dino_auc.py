"""How well an encoder tells a subject from others of its class: what a DINO-like score is worth on the toy world.

Subjects that no training saw; each candidate is compared with four references as an evaluation does (mean cosine).

Legend: S subjects, K references of each, Q others of each, D embedding width.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from suti.core.records import Skill
from suti.ml.clip.encoder import load_clip
from suti.ml.evaluation.dino import load_dino
from suti.ml.evaluation.protocols import TOY
from suti.toyworld.render import render
from suti.toyworld.seeds import Namespace, subject_of, view_seed
from suti.toyworld.subjects import Subject, distractors
from suti.toyworld.training.dino import SIZE_PX
from suti.toyworld.views import View, draw_view

type Encoder = Callable[[Sequence[Image.Image]], Tensor]

REFERENCES, OTHERS = 4, 15
_FIRST = 500_000  # numbers that no other evaluation has


def area_under_curve(own: Tensor, other: Tensor) -> float:
    """The probability that a picture of the subject scores above one of another; ties count half (Hanley, McNeil)."""
    ordered, _ = other.flatten().sort()
    own = own.flatten().contiguous()
    below = torch.searchsorted(ordered, own) + torch.searchsorted(ordered, own, right=True)
    return float((below.double() / 2 / len(ordered)).mean())


def tell_apart(encode: Encoder, *, subjects: int, skill: Skill | None) -> dict[str, float]:
    """Of pictures as prompts of a skill ask for (None: natural views): areas, and the share identified among 16."""
    who = [subject_of(Namespace.EVALUATION, _FIRST + number) for number in range(subjects)]
    shown: list[tuple[Subject, View]] = []
    own: list[tuple[Subject, View]] = []
    other: list[tuple[Subject, View]] = []
    for number, subject in enumerate(who, start=_FIRST):
        shown += [(subject, draw_view(view_seed(Namespace.EVALUATION, number, k))) for k in range(REFERENCES)]
        asked = draw_view(view_seed(Namespace.EVALUATION, number, "target"), skill=skill)
        own.append((subject, asked))
        other += [(one, asked) for one in distractors(subject, number, OTHERS)]
    references_SKD = F.normalize(_rows(encode, shown), dim=-1).unflatten(0, (subjects, REFERENCES))
    own_S = torch.einsum("sd,skd->sk", _rows(encode, own), references_SKD).mean(dim=-1)
    other_SQD = _rows(encode, other).unflatten(0, (subjects, OTHERS))
    other_SQ = torch.einsum("sqd,skd->sqk", other_SQD, references_SKD).mean(dim=-1)
    return {
        "auc": area_under_curve(own_S, other_SQ),
        "auc_strangers": area_under_curve(own_S, other_SQ[:, 0::2]),  # as `distractors` has them: every second
        "auc_lookalikes": area_under_curve(own_S, other_SQ[:, 1::2]),
        "identified_16way": float((own_S[:, None] > other_SQ).all(dim=1).float().mean()),
    }


def _rows(encode: Encoder, drawn: Sequence[tuple[Subject, View]]) -> Tensor:
    pixels_NCHW = render([subject for subject, _ in drawn], [view for _, view in drawn], size_px=SIZE_PX)
    return encode([Image.fromarray(pixels_CHW.permute(1, 2, 0).contiguous().numpy()) for pixels_CHW in pixels_NCHW])


def main() -> None:
    """One line of JSON for each encoder and skill."""
    models = Path(__file__).parents[1] / "models"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dino", default=str(models / "dino"))
    parser.add_argument("--clip", default=str(models / "clip"), help="for comparison")
    parser.add_argument("--subjects", type=int, default=160)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dino, clip = load_dino(options.dino), load_clip(options.clip)
    encoders: dict[str, Encoder] = {
        "dino": lambda pictures: dino.look(pictures, TOY.picture).class_ND,
        "clip": lambda pictures: clip.encode_pictures(pictures, pad=False),
    }
    for name, encode in encoders.items():
        for skill in (None, *Skill):
            found = tell_apart(encode, subjects=options.subjects, skill=skill)
            told = {"encoder": name, "views": skill.value if skill else "natural"}
            print(json.dumps({**told, **{key: round(value, 3) for key, value in found.items()}}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
