"""Where the drawings come from: a folder that anybody filled, or a system that draws what is not there yet."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from suti.core.errors import BadConfiguration, PermanentError
from suti.core.seeds import derive_seed
from suti.infra.store import Store
from suti.ml.clusters.decode import PictureRefused
from suti.ml.evaluation.prompts import Prompt
from suti.stages.evaluation.measuring import Missing
from suti.stages.evaluation.places import drawing_key
from suti.stages.evaluation.subjects import EvaluationSubject, Picture, open_picture


@dataclass(frozen=True)
class Drawing:
    """One sample of one prompt: a picture, or why there is none."""

    sample: int
    found: Picture | Missing
    seed: int | None = None


class DrawingSource(Protocol):
    """Somebody who has drawings, or makes them."""

    def drawings(self, subject: EvaluationSubject, prompt: Prompt, *, asked: str, samples: int) -> list[Drawing]:
        """One for each sample, in order. `asked` is the prompt's text with the subject's words in it.

        Raises:
            RetryableError: a system cannot draw just now.
            BadConfiguration: it never will.
        """
        ...


class Drawer(Protocol):
    """A system under test: the one call by which all of them draw."""

    def draw(self, subject: EvaluationSubject, prompt: str, seeds: Sequence[int]) -> list[Image.Image]:
        """One picture for each seed. Raises PermanentError where this prompt cannot be drawn."""
        ...


class FolderDrawings:
    """Pictures drawn by anybody: `subject/prompt number/sample.png`, numbers from 0, leading zeros as one likes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def drawings(self, subject: EvaluationSubject, prompt: Prompt, *, asked: str, samples: int) -> list[Drawing]:
        """What the folder has of the prompt."""
        place = _numbered(self._folder / subject.name).get(prompt.number)
        files = _numbered(place) if place is not None else {}
        found: list[Drawing] = []
        for sample in range(samples):
            path = files.get(sample)
            if path is None:
                wanted = self._folder / subject.name / f"{prompt.number:02d}" / f"{sample}.png"
                found.append(Drawing(sample, Missing("DRAWING_MISSING", f"there is no {wanted}")))
                continue
            try:
                found.append(Drawing(sample, open_picture(path)))
            except (PictureRefused, OSError) as error:
                found.append(Drawing(sample, Missing("PICTURE_UNREADABLE", f"{path}: {error}")))
        return found


class KeptDrawings:
    """Has a system draw what was not drawn yet, and keeps every picture before it is looked at."""

    def __init__(self, drawer: Drawer, store: Store, *, prefix: str, seed: int) -> None:
        self._drawer, self._store, self._prefix, self._seed = drawer, store, prefix, seed

    def drawings(self, subject: EvaluationSubject, prompt: Prompt, *, asked: str, samples: int) -> list[Drawing]:
        """One for each sample; what an earlier call drew is not drawn again."""
        keys = [drawing_key(self._prefix, subject.name, prompt.number, sample) for sample in range(samples)]
        seeds = [seed_of(self._seed, subject.name, prompt.number, sample) for sample in range(samples)]
        wanted = [sample for sample in range(samples) if not self._store.exists(keys[sample])]
        if wanted:
            try:
                drawn = self._drawer.draw(subject, asked, [seeds[sample] for sample in wanted])
            except BadConfiguration:
                raise
            except PermanentError as error:
                failed = Missing(error.reason, str(error))
                return [
                    Drawing(sample, failed if sample in wanted else self._open(keys[sample]), seeds[sample])
                    for sample in range(samples)
                ]
            for sample, picture in zip(wanted, drawn, strict=True):
                self._store.put(keys[sample], _png(picture))
        return [Drawing(sample, self._open(keys[sample]), seeds[sample]) for sample in range(samples)]

    def _open(self, key: str) -> Picture:
        image = Image.open(io.BytesIO(self._store.get(key)), formats=["PNG"]).convert("RGB")
        return Picture(None, image, hashlib.sha256(image.tobytes()).hexdigest())


def seed_of(seed: int, subject: str, number: int, sample: int) -> int:
    """A drawing's seed, the same for every system, so that their rows are paired."""
    return derive_seed(seed, "evaluation", subject, number, sample)


def _numbered(folder: Path) -> Mapping[int, Path]:
    """What a folder holds, by the number that its name is; masks are no drawings."""
    if not folder.is_dir():
        return {}
    return {int(path.stem): path for path in sorted(folder.iterdir()) if path.stem.isascii() and path.stem.isdigit()}


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
