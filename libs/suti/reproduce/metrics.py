"""What drawn pictures are measured by. A metric that comes later measures what was kept; nothing is drawn again.

Legend: N pictures of one subject, K references, D embedding width, C channels, H height, W width.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from suti.local.demo.judge import opened, stacked
from suti.local.folder import packaged_models
from suti.ml.clip.encoder import ClipEncoder, load_clip
from suti.ml.clip.files import WEIGHTS as CLIP_WEIGHTS
from suti.ml.diffusion.pixels import pixels_to_picture
from suti.ml.evaluation.dino import DinoEncoder, load_dino
from suti.ml.evaluation.protocols import TOY
from suti.ml.evaluation.scores import clip_t, likeness
from suti.ml.model_files import file_digest, folder_digest
from suti.reproduce.subject_sets import Asked
from suti.toyworld.oracle.lineup import ANSWERING, Lineup

_PREPARED = TOY.picture
_SHORT = 12  # digits of a hash


class Metric(Protocol):
    """Measures one subject's pictures."""

    @property
    def names(self) -> Sequence[str]:
        """What it measures, as rows say it."""
        ...

    @property
    def version(self) -> str:
        """The SHA-256 of the model it measures with, or a version of its own."""
        ...

    @property
    def judge(self) -> str:
        """Who measures, as protocols say it."""
        ...

    def measure(self, asked: Asked, pictures_NCHW: Tensor) -> Mapping[str, list[float]]:
        """By name, a value for each picture. Shape: (N, C, H, W) uint8."""
        ...


class Oracle:
    """Whether the nearest of sixteen exact subjects is the true one (chance 1/16), whether it is as asked, and both."""

    names = ("identified_16way", "follows_prompt", "overall")
    version = ANSWERING
    judge = f"oracle={ANSWERING}"

    def measure(self, asked: Asked, pictures_NCHW: Tensor) -> Mapping[str, list[float]]:
        """As `Metric` promises."""
        pictures = [pixels_to_picture(one_CHW) for one_CHW in pictures_NCHW]
        lineup = Lineup(asked.unseen.subject, asked.unseen.others)
        answers = lineup.answers(stacked(pictures), asked.wanted.view)
        return {
            "identified_16way": [float(one.identified) for one in answers],
            "follows_prompt": [float(one.follows_prompt) for one in answers],
            "overall": [float(one.overall) for one in answers],
        }


class Clip:
    """CLIP-T: the cosine of picture and prompt. CLIP-I: the mean cosine of picture and references."""

    names = ("clip_t", "clip_i")

    @property
    def version(self) -> str:
        """Of the toy CLIP's weights."""
        return _digest(packaged_models() / "clip" / CLIP_WEIGHTS)

    @property
    def judge(self) -> str:
        """Its weights; pictures are prepared as it says itself."""
        return f"clip={self.version[:_SHORT]}"

    def measure(self, asked: Asked, pictures_NCHW: Tensor) -> Mapping[str, list[float]]:
        """As `Metric` promises."""
        clip = _clip()
        pictures = [pixels_to_picture(one_CHW) for one_CHW in pictures_NCHW]
        image_ND = clip.encode_pictures(pictures, pad=False)
        references_KD = clip.encode_pictures([opened(one.png) for one in asked.references], pad=False)
        text_ND = clip.encode_texts([asked.wanted.text], pad=False).expand(len(pictures), -1)
        return {
            "clip_t": clip_t(image_ND, text_ND).tolist(),
            "clip_i": likeness(image_ND, references_KD).tolist(),
        }


class Dino:
    """DINO: the mean cosine of the class tokens of picture and references, by the toy DINO."""

    names = ("dino",)

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def version(self) -> str:
        """Of the model's folder, and how pictures are prepared for it."""
        return f"{_digest(self._folder)}/{_PREPARED.model_dump_json()}"

    @property
    def judge(self) -> str:
        """Its folder, and the protocol by which pictures are prepared for it."""
        return f"dino=cls@{_digest(self._folder)[:_SHORT]},{TOY.name}"

    def measure(self, asked: Asked, pictures_NCHW: Tensor) -> Mapping[str, list[float]]:
        """As `Metric` promises."""
        encoder = _dino(self._folder)
        pictures = [pixels_to_picture(one_CHW) for one_CHW in pictures_NCHW]
        drawn_ND = encoder.look(pictures, _PREPARED).class_ND
        references_KD = encoder.look([opened(one.png) for one in asked.references], _PREPARED).class_ND
        return {"dino": likeness(drawn_ND, references_KD).tolist()}


@cache
def all_metrics() -> tuple[Metric, ...]:
    """Every metric there is; DINO where the toy DINO comes along."""
    dino = packaged_models() / "dino"
    return (Oracle(), Clip(), *([Dino(dino)] if dino.is_dir() else []))


def judges() -> str:
    """Who measures, in one word."""
    return ";".join(one.judge for one in all_metrics())


@cache
def _digest(path: Path) -> str:
    return folder_digest(path) if path.is_dir() else file_digest(path)


@cache
def _clip() -> ClipEncoder:
    return load_clip(str(packaged_models() / "clip"))


@cache
def _dino(folder: Path) -> DinoEncoder:
    with torch.random.fork_rng(devices=[]):  # making a model draws from the global generator
        return load_dino(str(folder))
