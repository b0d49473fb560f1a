"""The models that the benches draw and train with: the ones that come with Suti."""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

import suti.toyworld
from suti.ml.subject.files import SubjectModel, load_subject_model

TOY_MODELS = Path(suti.toyworld.__file__).parent / "models"
CAPTIONS = ("a photo of a robot on a beach", "a photo of a robot", "a photo of a robot in a city", "a photo of a robot")


@cache
def warmstart() -> SubjectModel:
    """The toy warm start, ready to draw."""
    model = load_subject_model(TOY_MODELS / "warmstart")
    model.network.eval()
    return model


def demonstrations(count: int = 4) -> Tensor:
    """Pictures to demonstrate with; their content does not matter to time. Shape: (K, 3, H, W) in [-1, 1]."""
    size = warmstart().base.size_px
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
