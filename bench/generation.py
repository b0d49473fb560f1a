"""What demonstrations cost when drawing, and what the key/value cache saves."""

import torch

from bench.measure import Ratio, compare
from bench.models import CAPTIONS, demonstrations, warmstart
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.subject.attention import SubjectContext
from suti.ml.subject.drawing import draw_subject_pictures, encode_subject

_ONE = SamplingRecipe(sampler="ddim", steps=20, guidance=1.0)
_TWO = SamplingRecipe(sampler="ddim", steps=20, guidance=3.0)
_THREE = SamplingRecipe(sampler="ddim", steps=20, guidance=3.0, subject_guidance=3.0)


def run() -> list[Ratio]:
    """Drawing with four demonstrations against the plain base, and with against without the cache."""
    model = warmstart()
    pictures_KCHW = demonstrations()

    def encode() -> SubjectContext:
        return encode_subject(model, pictures_KCHW, CAPTIONS)

    context = encode()

    def draw(count: int, recipe: SamplingRecipe, subject: object) -> torch.Tensor:
        return draw_subject_pictures(
            model,
            prompts=["a photo of a robot in the snow"] * count,
            seeds=list(range(count)),
            subject=subject,  # pyright: ignore[reportArgumentType]  # the three forms that it takes
            recipe=recipe,
        )

    cached, anew = draw(1, _TWO, context), draw(1, _TWO, encode)
    if not torch.equal(cached, anew):
        raise AssertionError("the cache changes what is drawn")
    return [
        compare(
            "draw, 4 demonstrations / base, batch 1",
            lambda: draw(1, _TWO, context),
            lambda: draw(1, _TWO, None),
            at_most=1.3,
        ),
        compare(
            "draw, 4 demonstrations / base, batch 8",
            lambda: draw(8, _TWO, context),
            lambda: draw(8, _TWO, None),
            at_most=1.6,
        ),
        compare(
            "draw, three branches / base's two, batch 1", lambda: draw(1, _THREE, context), lambda: draw(1, _TWO, None)
        ),
        compare(
            "draw without the key/value cache / with it, batch 1",
            lambda: draw(1, _TWO, encode),
            lambda: draw(1, _TWO, context),
            at_least=2.0,
        ),
        compare(
            "the same without guidance: one branch",
            lambda: draw(1, _ONE, encode),
            lambda: draw(1, _ONE, context),
        ),
    ]
