"""A lesson of noise, with gains by hand."""

import torch

from suti.ml.quality.verdicts import FAILED, Scores
from suti.reproduce.lessons import Lesson
from suti.toyworld.subjects import draw_subject
from tests.models.subject_models import SIZE_PX


def a_lesson(*gains: float, number: int = 0, pictures: int = 2) -> Lesson:
    generator = torch.Generator().manual_seed(number)
    size = (3, SIZE_PX, SIZE_PX)
    return Lesson(
        number=number,
        subject=draw_subject(number),
        texts=["a cat", *[f"a cat in space {one}" for one in range(1, pictures)]],
        demonstrations_KCHW=torch.randint(0, 256, (pictures, *size), dtype=torch.uint8, generator=generator),
        prompts=[f"a cat {row}" for row in range(len(gains))],
        candidates_NCHW=torch.randint(0, 256, (len(gains), *size), dtype=torch.uint8, generator=generator),
        scores=[FAILED if gain < -1 else Scores(gain, 0.5, 0.5, 0.5) for gain in gains],
        seconds=0.0,
    )
