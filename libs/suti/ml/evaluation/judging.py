"""DreamBench-v2's three questions about a drawing, asked of anybody who can see (SuTI, section 5.1).

Is it the subject? Does it show what the text says? Does it look real, without artefacts? Each is answered yes or no;
overall is yes where all three are. The paper asked people; a judge here is a person's program or a vision model.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image
from pydantic import BaseModel, Field

from suti.ml.chat_endpoint import SENT_SIDE_PX, Endpoint, data_url
from suti.ml.evaluation.verdicts import METRICS

_YES_FROM = 0.5  # where a judge answers with a number
_TOKENS = 512
_ASK = (
    "The first {count} pictures show one subject, a {class_word}. The last picture was drawn by a program that was "
    "asked for: {prompt!r}, with this same subject. Judge the last picture with three questions, each answered with 1 "
    "for yes or 0 for no. subject: is it this very subject, its shape, colours, pattern and details preserved where "
    "the text does not ask for a change, and not merely another {class_word}? text: does it show all the text says? "
    "photorealism: is it free of artefacts, blurred or broken parts, and does it look as a photo would, or as a work "
    "in the style that the text asks for? "
    'Answer as JSON: {{"subject": 0, "text": 0, "photorealism": 0}}'
)


@dataclass(frozen=True, slots=True)
class Question:
    """One drawing, with all that a judge needs to know of it."""

    drawing: Image.Image
    references: Sequence[Image.Image]
    class_word: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """Yes or no, three times."""

    subject: bool
    text: bool
    photorealism: bool

    @property
    def overall(self) -> bool:
        """The most stringent score: all three."""
        return self.subject and self.text and self.photorealism

    def scores(self) -> dict[str, float]:
        """By metric: 1 for yes, 0 for no."""
        answers = (self.subject, self.text, self.photorealism, self.overall)
        return dict(zip(METRICS, map(float, answers), strict=True))


class Judge(Protocol):
    """Somebody who can see."""

    @property
    def judge_id(self) -> str:
        """Who it is and how it is asked: scores of different ids are not compared."""
        ...

    @property
    def max_references(self) -> int:
        """How many references it is shown at the most."""
        ...

    def judge(self, question: Question) -> Judgement:
        """The answers to one question. May be called by several threads at once.

        Raises:
            EndpointUnavailable: not just now; asked again later, the same question may be answered.
            AnswerUnusable: it was asked as often as it may be and never answered with sense.
            EndpointRefused: it will answer no question at all.
        """
        ...


class _Answer(BaseModel):
    subject: float = Field(ge=0, le=1)
    text: float = Field(ge=0, le=1)
    photorealism: float = Field(ge=0, le=1)


class EndpointJudge:
    """Asks a vision model behind an OpenAI-style endpoint, one drawing a request; numbers from 0.5 on are a yes."""

    def __init__(self, endpoint: Endpoint, *, max_references: int = 4) -> None:
        self._endpoint = endpoint
        self.max_references = max_references

    @property
    def judge_id(self) -> str:
        """The model's name, how many references it sees at most, and which words it is asked with."""
        words = hashlib.sha256(_ASK.encode()).hexdigest()[:12]
        shown = f"references<={self.max_references};side={SENT_SIDE_PX}"
        return f"judge;model={self._endpoint.model};{shown};words={words}"

    def judge(self, question: Question) -> Judgement:
        """The model's answers. See `Judge` for what it raises."""
        shown = question.references[: self.max_references]
        asked = _ASK.format(count=len(shown), class_word=question.class_word, prompt=question.prompt)
        content = [
            {"type": "image_url", "image_url": {"url": data_url(picture)}} for picture in (*shown, question.drawing)
        ]
        answer = self._endpoint.ask(_Answer, asked, content, tokens=_TOKENS)
        return Judgement(answer.subject >= _YES_FROM, answer.text >= _YES_FROM, answer.photorealism >= _YES_FROM)
