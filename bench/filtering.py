"""What judging a candidate costs: encodes, and pictures a second against plain loops over the same CLIP."""

from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from bench.measure import Ratio, compare, of_ratios
from bench.models import TOY_MODELS
from suti.ml.clip.encoder import load_clip
from suti.ml.quality.gain import clip_gain

_CANDIDATES, _DEMONSTRATIONS = 64, 4
_PROMPT = "a photo of a robot on a beach"


class PlainClip:
    """open_clip as its own README uses it."""

    def __init__(self, folder: str) -> None:
        made: Any = open_clip.create_model_and_transforms(f"local-dir:{folder}")
        self._model, _, self._preprocess = made
        self._model.eval()
        self._tokenizer: Any = open_clip.get_tokenizer(f"local-dir:{folder}")

    @torch.no_grad()
    def pictures(self, pictures: list[Image.Image]) -> Tensor:
        """One batch. Shapes: N pictures -> (N, D), rows of unit length."""
        return F.normalize(self._model.encode_image(torch.stack([self._preprocess(one) for one in pictures])), dim=-1)

    @torch.no_grad()
    def text(self, text: str) -> Tensor:
        """One text. Shapes: (1, D), of unit length."""
        return F.normalize(self._model.encode_text(self._tokenizer([text])), dim=-1)


def run() -> list[Ratio]:
    """The filter's way (one batched encode a candidate, demonstrations encoded before) against the plain ones."""
    clip, plain = load_clip(str(TOY_MODELS / "clip")), PlainClip(str(TOY_MODELS / "clip"))
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (_CANDIDATES + _DEMONSTRATIONS, 32, 32, 3), dtype=torch.uint8, generator=generator)
    pictures = [Image.fromarray(picture.numpy()) for picture in pixels]
    candidates, demonstrations = pictures[:_CANDIDATES], pictures[_CANDIDATES:]
    stored_KD = clip.encode_pictures(demonstrations)  # at selection, long before

    def filter_way() -> Tensor:
        image_ND = clip.encode_pictures(candidates)
        text_ND = clip.encode_texts([_PROMPT], batch=1).expand(len(image_ND), -1)
        return clip_gain(text_ND, image_ND, stored_KD.expand(len(image_ND), -1, -1))

    def gain_of(image_ND: Tensor, demos_KD: Tensor, text_ND: Tensor) -> Tensor:
        return (image_ND @ text_ND.T).max() - (demos_KD @ text_ND.T).max()

    def plain_loop() -> Tensor:
        gains: list[Tensor] = []
        for candidate in candidates:
            image_ND = plain.pictures([candidate])
            demos_KD = torch.cat([plain.pictures([picture]) for picture in demonstrations])
            gains.append(gain_of(image_ND, demos_KD, plain.text(_PROMPT)))
        return torch.stack(gains)

    def batched_loop() -> Tensor:
        gains: list[Tensor] = []
        for start in range(0, len(candidates), 16):
            asked = candidates[start : start + 16]
            rows_ND = plain.pictures([*asked, *demonstrations])
            text_ND, demos_KD = plain.text(_PROMPT), rows_ND[len(asked) :]
            gains += [gain_of(row_ND, demos_KD, text_ND) for row_ND in rows_ND[: len(asked)].split(1)]
        return torch.stack(gains)

    before = clip.pictures_encoded
    gains = filter_way()
    encodes = (clip.pictures_encoded - before) / len(candidates)
    for way in (plain_loop, batched_loop):
        torch.testing.assert_close(way(), gains, rtol=0, atol=1e-4)  # the same judgement
    return [
        of_ratios("filter, encodes per candidate", [encodes], at_most=1.0),
        compare("filter, pictures/s / open_clip's plain loop", plain_loop, filter_way, at_least=3.0),
        compare("filter, pictures/s / a batched loop", batched_loop, filter_way),
    ]
