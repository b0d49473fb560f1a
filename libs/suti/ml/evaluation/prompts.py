"""What is asked of each subject: DreamBench's 25 + 25 templates, or prompts of the four skills, as data with a source.

`dreambench.json` and `skills.json` stand beside this file; a file of one's own has the same form.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from suti.core.errors import BadConfiguration
from suti.core.records import Skill

type Kind = Literal["object", "live"]

SETS: Final = ("dreambench", "skills")
SLOT: Final = "{}"  # where the subject stands in a template


class PromptsUnreadable(BadConfiguration):
    """A file of prompts is none."""

    reason: ClassVar[str] = "EVALUATION_PROMPTS_UNREADABLE"


class Template(BaseModel):
    """One text with a place for the subject."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    skill: Skill
    text: str = Field(pattern=r"\{\}")


class KnownSubject(BaseModel):
    """What a data set says of one of its subjects."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    class_word: str = Field(min_length=1)
    kind: Kind


class PromptSet(BaseModel):
    """Templates for objects and for live subjects, and the subjects that the set knows by their folder's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    live_classes: tuple[str, ...] = ()
    templates: dict[Kind, tuple[Template, ...]]
    subjects: dict[str, KnownSubject] = {}

    def kind_of(self, class_word: str) -> Kind:
        """Whether a class is alive, as far as the set knows; an object otherwise."""
        return "live" if class_word in self.live_classes else "object"


@dataclass(frozen=True, slots=True)
class Prompt:
    """One template for one subject. `number` is its place in the list of its kind, from 0."""

    number: int
    skill: Skill
    template: str

    def text(self, subject: str) -> str:
        """What is asked for, with the subject's words in it: "red toy" makes "a red toy in the snow".

        "a {}" before a vowel becomes "an"; DreamBench itself has no such class.
        """
        wanted = self.template.replace(SLOT, subject)
        if subject[:1].lower() in "aeiou":
            wanted = self.template.replace(f"a {SLOT}", f"an {subject}").replace(SLOT, subject)
        return wanted


@cache
def prompt_set(name_or_file: str) -> PromptSet:
    """The set of that name (`dreambench`, `skills`) or of a JSON file. Raises PromptsUnreadable."""
    if name_or_file in SETS:
        text = (files("suti.ml.evaluation") / f"{name_or_file}.json").read_text(encoding="utf-8")
    else:
        try:
            text = Path(name_or_file).read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise PromptsUnreadable(
                f"no prompts {name_or_file!r} ({error}): name one of {', '.join(SETS)}, or a JSON file"
            ) from error
    try:
        return PromptSet.model_validate(json.loads(text))
    except (ValidationError, ValueError) as error:
        problem = str(error).splitlines()[0]
        raise PromptsUnreadable(
            f"{name_or_file} is no set of prompts ({problem}): it wants source and templates, as dreambench.json has"
        ) from error


def prompts_for(prompts: PromptSet, kind: Kind) -> tuple[Prompt, ...]:
    """What is asked of a subject of a kind, numbered."""
    return tuple(Prompt(number, one.skill, one.text) for number, one in enumerate(prompts.templates.get(kind, ())))
