"""What a caller may ask for when pictures are to be drawn, and what is refused before anything is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from suti.core.errors import InvalidArgument, PermanentError
from suti.ml.diffusion.recipe import SamplerName, SamplingRecipe
from suti.ml.super_resolution.recipe import NOISE_LEVELS

MAX_PROMPT_CHARS = 1_000
MAX_PICTURES = 16
MAX_STEPS = 1_000
MAX_GUIDANCE = 100.0
MAX_ENLARGEMENTS = 3
_OF_DRAWING = (
    "model", "steps", "guidance", "subject_guidance", "sampler", "width_px", "height_px", "preview_steps",
)  # fmt: skip


class PromptEmpty(InvalidArgument):
    """There is nothing to draw."""

    reason: ClassVar[str] = "PROMPT_EMPTY"


class PromptTooLong(InvalidArgument):
    """A text is longer than any model reads."""

    reason: ClassVar[str] = "PROMPT_TOO_LONG"


class PictureCountOutOfRange(InvalidArgument):
    """Too many pictures for one request."""

    reason: ClassVar[str] = "PICTURE_COUNT_OUT_OF_RANGE"


class StepsOutOfRange(InvalidArgument):
    """More steps than a sampler has noise levels."""

    reason: ClassVar[str] = "STEPS_OUT_OF_RANGE"


class GuidanceOutOfRange(InvalidArgument):
    """A guidance weight that no picture survives."""

    reason: ClassVar[str] = "GUIDANCE_OUT_OF_RANGE"


class SeedOutOfRange(InvalidArgument):
    """A seed beyond what every part of Suti can hold."""

    reason: ClassVar[str] = "SEED_OUT_OF_RANGE"


class SizeNotSupported(InvalidArgument):
    """A picture size that the model was not trained for."""

    reason: ClassVar[str] = "SIZE_NOT_SUPPORTED"


class TooManyEnlargements(InvalidArgument):
    """A chain of super-resolution models that no picture survives."""

    reason: ClassVar[str] = "TOO_MANY_ENLARGEMENTS"


class NoiseLevelOutOfRange(InvalidArgument):
    """More noise for small pictures than a model knows."""

    reason: ClassVar[str] = "NOISE_LEVEL_OUT_OF_RANGE"


class EnlargeWithMissing(InvalidArgument):
    """Something is said of enlarging, but not with what."""

    reason: ClassVar[str] = "ENLARGE_WITH_MISSING"


class DrawsNothing(InvalidArgument):
    """A field says how to draw, but pictures are given and none is drawn."""

    reason: ClassVar[str] = "DRAWS_NOTHING"


class SubjectNotSupported(PermanentError):
    """A model that looks at text alone was asked for a subject."""

    reason: ClassVar[str] = "SUBJECT_NOT_SUPPORTED"


class SubjectRequired(PermanentError):
    """A model that draws subjects was asked without one."""

    reason: ClassVar[str] = "SUBJECT_REQUIRED"


@dataclass(frozen=True, kw_only=True)
class DrawOrder:
    """What is wanted. Zeros and None leave the choice to the model."""

    prompt: str
    avoid: str = ""
    model: str = ""
    count: int = 1
    seed: int = 0
    steps: int = 0
    guidance: float | None = None
    subject_guidance: float | None = None
    sampler: SamplerName | None = None
    width_px: int = 0
    height_px: int = 0
    preview_steps: int = 0
    enlarge_with: tuple[str, ...] = ()
    noise_level: int | None = None
    given: int = 0  # pictures that came along: they are enlarged, and none is drawn

    def check(self) -> None:
        """Raises a subclass of InvalidArgument that names the first field that is out of its range."""
        self._check_enlarging()
        if not self.prompt.strip() and not self.given:
            raise PromptEmpty("prompt", "it is empty: say what the pictures are to show")
        for field, text in (("prompt", self.prompt), ("negative_prompt", self.avoid)):
            if len(text) > MAX_PROMPT_CHARS:
                raise PromptTooLong(field, f"{len(text)} characters: send at most {MAX_PROMPT_CHARS}")
        if not 1 <= self.count <= MAX_PICTURES:
            raise PictureCountOutOfRange(
                "count", f"{self.count} pictures: ask for 1 to {MAX_PICTURES}, and for more with GenerateBatch"
            )
        if not 0 <= self.steps <= MAX_STEPS:
            raise StepsOutOfRange("steps", f"{self.steps}: ask for 1 to {MAX_STEPS}, or leave it to the model")
        if not 0 <= self.seed < 2**63:
            raise SeedOutOfRange("seed", f"{self.seed} is not in [0, 2**63): send a smaller one, or none")
        for field, weight in (("guidance", self.guidance), ("subject_guidance", self.subject_guidance)):
            if weight is not None and not 0 <= weight <= MAX_GUIDANCE:  # refuses NaN as well
                raise GuidanceOutOfRange(field, f"{weight}: send 0 to {MAX_GUIDANCE:g}; 1 is no guidance")

    def _check_enlarging(self) -> None:
        if len(self.enlarge_with) > MAX_ENLARGEMENTS:
            raise TooManyEnlargements(
                "enlarge_with", f"{len(self.enlarge_with)} models: name at most {MAX_ENLARGEMENTS}"
            )
        if self.noise_level is not None and not 0 <= self.noise_level < NOISE_LEVELS:
            raise NoiseLevelOutOfRange("noise_level", f"{self.noise_level}: send 0 to {NOISE_LEVELS - 1}, or none")
        if not self.enlarge_with and (self.given or self.noise_level is not None):
            field = "pictures" if self.given else "noise_level"
            raise EnlargeWithMissing(field, "no model enlarges: name one in enlarge_with, or leave the field out")
        if not self.given:
            return
        for field in fields(self):
            if field.name in _OF_DRAWING and getattr(self, field.name) != field.default:
                raise DrawsNothing(field.name, "nothing is drawn where pictures are given: leave out one of both")
        if self.count != self.given:
            raise PictureCountOutOfRange("count", f"{self.count}, but {self.given} pictures are given: leave count out")

    def check_size(self, size_px: int, model: str) -> None:
        """Raises SizeNotSupported unless the size is the model's own, or left to it."""
        for field, asked in (("width_px", self.width_px), ("height_px", self.height_px)):
            if asked not in {0, size_px}:
                raise SizeNotSupported(
                    field, f"{asked}: {model} draws {size_px} x {size_px} pixels, leave the size to it"
                )

    def recipe(self, own: SamplingRecipe) -> SamplingRecipe:
        """How to draw: the model's own way with what the order changes."""
        changes: Mapping[str, object] = {
            "steps": self.steps or None,
            "guidance": self.guidance,
            "subject_guidance": self.subject_guidance,
            "sampler": self.sampler,
        }
        return own.model_copy(update={name: value for name, value in changes.items() if value is not None})
