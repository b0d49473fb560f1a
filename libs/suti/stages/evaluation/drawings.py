"""Where the drawings come from: a folder that anybody filled, or a system that draws what is not there yet."""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from PIL import Image

from suti.core.errors import BadConfiguration, PermanentError, SutiError
from suti.core.seeds import derive_seed
from suti.infra.store import Store
from suti.ml.clusters.decode import PictureRefused
from suti.ml.evaluation.prompts import Prompt
from suti.ml.png import png_of
from suti.stages.evaluation.measuring import Missing
from suti.stages.evaluation.places import drawing_key, failure_key
from suti.stages.evaluation.plan import EvaluationChanged
from suti.stages.evaluation.subjects import EvaluationSubject, Picture, open_picture, picture_files
from suti.stages.generation.painter import DrawingDiverged

_NOT_YET = "DRAWING_MISSING"


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

    def there(self, subject: EvaluationSubject, prompt: Prompt, *, samples: int) -> list[Drawing]:
        """What there is of it just now; nothing is drawn."""
        ...


type Outcome = tuple[int, Image.Image | PermanentError]
"""A seed, and the picture that came of it, or why none ever will."""


class Drawer(Protocol):
    """A system under test: the one call by which all of them draw."""

    def draw(self, subject: EvaluationSubject, prompt: str, seeds: Sequence[int]) -> Iterator[Outcome]:
        """One outcome for each seed, as they come. What is raised instead stops the evaluation.

        Raises:
            RetryableError: it cannot draw just now.
            EvaluationChanged: it is not the system any more that the evaluation began with.
            BadConfiguration: it never will draw anything.
        """
        ...


class FolderDrawings:
    """Pictures drawn by anybody: `subject/prompt number/sample.png`, numbers from 0, leading zeros as one likes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def drawings(self, subject: EvaluationSubject, prompt: Prompt, *, asked: str, samples: int) -> list[Drawing]:
        """What the folder has of the prompt."""
        return self.there(subject, prompt, samples=samples)

    def there(self, subject: EvaluationSubject, prompt: Prompt, *, samples: int) -> list[Drawing]:
        """What the folder has of the prompt."""
        folder = self._folder / subject.name
        places = [place for place in folder.iterdir() if place.is_dir()] if folder.is_dir() else []
        files = [path for place in _by_number(places).get(prompt.number, ()) for path in picture_files(place)]
        by_sample = _by_number(files)
        wanted = folder / f"{prompt.number:02d}"
        return [Drawing(one, _only(by_sample.get(one, ()), wanted / f"{one}.png")) for one in range(samples)]


class KeptDrawings:
    """Has a system draw what was not drawn yet, and keeps every picture before it is looked at."""

    def __init__(self, drawer: Drawer, store: Store, *, prefix: str, seed: int) -> None:
        self._drawer, self._store, self._prefix, self._seed = drawer, store, prefix, seed

    def drawings(self, subject: EvaluationSubject, prompt: Prompt, *, asked: str, samples: int) -> list[Drawing]:
        """One for each sample; what an earlier call drew is not drawn again."""
        place = (subject.name, prompt.number)
        seeds = [seed_of(self._seed, *place, sample) for sample in range(samples)]
        wanted = {
            seeds[one.sample]: one.sample
            for one in self.there(subject, prompt, samples=samples)
            if isinstance(one.found, Missing) and one.found.reason == _NOT_YET
        }
        failed: dict[int, Missing] = {}
        if wanted:
            for seed, outcome in self._drawer.draw(subject, asked, list(wanted)):
                if isinstance(outcome, PermanentError):
                    failed[wanted[seed]] = Missing(outcome.reason, str(outcome))
                    if isinstance(outcome, DrawingDiverged):  # the same seed would diverge again
                        told = json.dumps({"reason": outcome.reason, "detail": str(outcome)})
                        self._store.put(failure_key(self._prefix, *place, wanted[seed]), told.encode())
                else:
                    self._store.put(drawing_key(self._prefix, *place, wanted[seed]), png_of(outcome))
        found = self.there(subject, prompt, samples=samples)
        return [replace(one, found=failed[one.sample]) if one.sample in failed else one for one in found]

    def there(self, subject: EvaluationSubject, prompt: Prompt, *, samples: int) -> list[Drawing]:
        """What was drawn, or could not be, so far."""
        place = (subject.name, prompt.number)
        return [
            Drawing(sample, self._kept(*place, sample), seed_of(self._seed, *place, sample))
            for sample in range(samples)
        ]

    def _kept(self, subject: str, number: int, sample: int) -> Picture | Missing:
        drawn, failed = (of(self._prefix, subject, number, sample) for of in (drawing_key, failure_key))
        if self._store.exists(drawn):
            return self._open(drawn)
        if self._store.exists(failed):
            return Missing(**json.loads(self._store.get(failed)))
        return Missing(_NOT_YET, f"{drawn} is not drawn yet")

    def _open(self, key: str) -> Picture:
        image = Image.open(io.BytesIO(self._store.get(key)), formats=["PNG"]).convert("RGB")
        return Picture(None, image, hashlib.sha256(image.tobytes()).hexdigest())


def as_they_come(drawing: Mapping[Future[Image.Image], int]) -> Iterator[Outcome]:
    """The outcomes of pictures that are being drawn, by seed; one that fails costs no other its place.

    Raises:
        SutiError: what stops the evaluation, once all others are there.
    """
    stopped: SutiError | None = None
    for future in as_completed(drawing):
        try:
            yield drawing[future], future.result()
        except (BadConfiguration, EvaluationChanged) as error:
            stopped = error
        except PermanentError as error:
            yield drawing[future], error
        except SutiError as error:
            stopped = stopped or error
    if stopped is not None:
        raise stopped


def seed_of(seed: int, subject: str, number: int, sample: int) -> int:
    """A drawing's seed, the same for every system, so that their rows are paired."""
    return derive_seed(seed, "evaluation", subject, number, sample)


def _only(paths: Sequence[Path], wanted: Path) -> Picture | Missing:
    """The one picture there is, or why it cannot be measured."""
    match list(paths):
        case []:
            return Missing(_NOT_YET, f"there is no {wanted}")
        case [path]:
            try:
                return open_picture(path)
            except (PictureRefused, OSError) as error:
                return Missing("PICTURE_UNREADABLE", f"{path}: {error}")
        case _:
            return Missing("DRAWING_AMBIGUOUS", f"{' and '.join(map(str, paths))} are the same sample: leave one")


def _by_number(paths: Iterable[Path]) -> Mapping[int, list[Path]]:
    """By the number that a name is: `1` and `01` are one; what has another name is not among them."""
    found: dict[int, list[Path]] = {}
    for path in sorted(paths):
        if path.stem.isascii() and path.stem.isdigit():
            found.setdefault(int(path.stem), []).append(path)
    return found
