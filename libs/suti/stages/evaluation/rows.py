"""What an evaluation keeps: one row for each picture and metric, so that every total can be taken apart again."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import ClassVar, Final

REAL: Final = -1  # the prompt number of rows about real pictures, which nobody asked for
REAL_SYSTEM: Final = "real"  # who drew those

_MEASURING = ("suti", "torch", "timm", "transformers", "open_clip_torch", "pillow", "numpy")


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """One metric of one picture. `score` is None where there is none, and then `reason` says why."""

    SCHEMA_VERSION: ClassVar[int] = 1

    system: str
    system_sha256: str  # of the model that drew; empty where nobody knows
    subject: str
    subject_sha256: str  # of the subject as it was planned: pictures, masks, what was shown with which captions
    class_word: str
    prompts: str  # the set of prompts: dreambench, skills, a file's name
    prompts_sha256: str  # of the set's content
    prompt_number: int  # place in its set, from 0; REAL for real pictures
    skill: str  # empty for real pictures
    template: str  # the prompt without the subject's words; empty for real pictures
    prompt: str  # what the system was asked for
    sample: int
    seed: int | None  # of the drawing, where it is known
    pixels_sha256: str  # over the picture's raw RGB bytes; empty where there is no picture
    mask_sha256: str  # of the mask that was given with it; empty where none was
    metric: str
    score: float | None
    reason: str  # empty where there is a score; stable, upper case, listed in docs/errors.md
    detail: str  # the reason in words
    text: str  # what CLIP-T read, on its rows; empty on others
    references: int  # pictures that the score was measured against; 0 on rows that use none
    references_missing: int  # those that it should have been measured against too, and could not
    against_sha256: str  # of exactly those pictures' pixels and masks; of `diversity`, whose own others they are, empty
    protocol_id: str  # how the score came about; of judges' rows: the judge's id
    dino_sha256: str
    clip_sha256: str
    segmenter_sha256: str
    versions: str  # of the libraries that measured

    @property
    def pair(self) -> tuple[str, str, str, int, str]:
        """What a row of another system must share to stand beside this one: whoever was asked for the same."""
        return (self.subject, self.class_word, self.template, self.sample, self.metric)

    @property
    def basis(self) -> tuple[str, str]:
        """What it must share as well to be compared: the pictures and the text that it was measured against."""
        return (self.against_sha256, self.text)


def library_versions() -> str:
    """The libraries that scores may depend on, such as `suti 0.1.0; torch 2.9.1; ...`."""
    found: list[str] = []
    for name in _MEASURING:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return "; ".join(found)
