"""What judging a candidate costs: encodes, and pictures a second against plain loops over the same CLIP."""

import torch
from PIL import Image

from bench.measure import Ratio, compare, of_ratios
from bench.models import TOY_MODELS
from suti.ml.clip.encoder import ClipEncoder, load_clip
from suti.ml.quality.gain import clip_gain

_CANDIDATES, _DEMONSTRATIONS = 64, 4


def run() -> list[Ratio]:
    """The filter's way (one batched encode a candidate, demonstrations encoded before) against the plain ones."""
    clip = load_clip(str(TOY_MODELS / "clip"))
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (_CANDIDATES + _DEMONSTRATIONS, 32, 32, 3), dtype=torch.uint8, generator=generator)
    pictures = [Image.fromarray(picture.numpy()) for picture in pixels]
    candidates, demonstrations = pictures[:_CANDIDATES], pictures[_CANDIDATES:]
    prompt = "a photo of a robot on a beach"
    stored_KD = clip.encode_pictures(demonstrations)

    def filter_way() -> None:
        image_ND = clip.encode_pictures(candidates)
        text_ND = clip.encode_texts([prompt], batch=1).expand(len(image_ND), -1)
        clip_gain(text_ND, image_ND, stored_KD.expand(len(image_ND), -1, -1))

    def plain_loop() -> None:
        for candidate in candidates:
            _one(clip, candidate, demonstrations, prompt)

    def batched_loop() -> None:
        for start in range(0, len(candidates), 16):
            rows_ND = clip.encode_pictures([*candidates[start : start + 16], *demonstrations], batch=20, pad=False)
            clip.encode_texts([prompt], batch=1)
            _ = rows_ND @ rows_ND.T

    before = clip.pictures_encoded
    filter_way()
    encodes = (clip.pictures_encoded - before) / len(candidates)
    return [
        of_ratios("filter, encodes per candidate", [encodes], at_most=1.0),
        compare("filter, pictures/s / open_clip's plain loop", plain_loop, filter_way, at_least=3.0),
        compare("filter, pictures/s / a batched loop", batched_loop, filter_way),
    ]


def _one(clip: ClipEncoder, candidate: Image.Image, demonstrations: list[Image.Image], prompt: str) -> None:
    image_D = clip.encode_pictures([candidate], batch=1)
    demos_KD = torch.cat([clip.encode_pictures([picture], batch=1) for picture in demonstrations])
    text_D = clip.encode_texts([prompt], batch=1)
    clip_gain(text_D, image_D, demos_KD.unsqueeze(0))
