"""What is evaluated, frozen before the first picture: an evaluation that goes on goes on with the same plan."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from suti.core.errors import InvalidArgument, PermanentError
from suti.infra.store import ObjectMissing, Store
from suti.ml.evaluation.prompts import Kind, Prompt, PromptSet, prompts_for
from suti.ml.evaluation.protocols import Protocol
from suti.stages.evaluation.places import PARTS, PLAN
from suti.stages.evaluation.rows import REAL_SYSTEM


class EvaluationChanged(PermanentError):
    """A folder holds another evaluation than the one that is asked for."""

    reason: ClassVar[str] = "EVALUATION_CHANGED"
    grpc_code = "FAILED_PRECONDITION"


def check_model(name: str, planned_sha256: str, sha256: str) -> None:
    """Raises EvaluationChanged if a drawing comes from another model than the plan says."""
    if sha256 != planned_sha256:
        raise EvaluationChanged(
            f"{name} was {planned_sha256[:12]} when the evaluation began and is {sha256[:12] or 'unknown'} now: "
            "choose another --out for the new one"
        )


class System(BaseModel):
    """Who draws."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str = Field(default="", description="Of the model; empty where nobody knows.")
    settings: str = Field(default="", description="How it draws, as far as that is known: sampler, steps, guidance.")
    sees_subjects: bool = Field(default=True, description="False for a model that draws from the prompt alone.")


class PlannedSubject(BaseModel):
    """One subject, with all its pictures by content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    class_word: str
    kind: Kind
    pictures: dict[str, str] = Field(description="File name -> SHA-256 of its pixels; empty where it cannot be opened.")
    masks: dict[str, str] = Field(
        default={},
        description="File name -> SHA-256 of its given mask, where the protocol removes backgrounds.",
    )
    shown: tuple[str, ...] = Field(description="Those that the system saw: its demonstrations.")
    captions: tuple[str, ...] = Field(default=(), description="What was said of each of them.")

    @property
    def sha256(self) -> str:
        """Over all of it: rows that carry it were measured against just this."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class EvaluationPlan(BaseModel):
    """Everything that changes a row, but for the drawings themselves: `evaluation.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    system: System
    protocol: Protocol
    protocol_id: str
    prompts: str = Field(description="Name of the set of prompts.")
    prompt_set: PromptSet
    numbers: tuple[int, ...] = Field(description="Which of the prompts are drawn; empty: all.")
    samples: PositiveInt = Field(default=4, description="Drawings of each prompt.")
    token: str = Field(default="", description="Stands before the class word in what the system is asked for.")
    seed: int = Field(default=0, ge=0, lt=2**63)
    real: bool = Field(default=True, description="Whether real pictures are measured against one another too.")
    dino_sha256: str
    clip_sha256: str
    segmenter_sha256: str = ""
    versions: str
    subjects: dict[str, PlannedSubject]

    def prompts_of(self, kind: Kind) -> Sequence[Prompt]:
        """What is drawn of a subject of that kind."""
        return [one for one in prompts_for(self.prompt_set, kind) if not self.numbers or one.number in self.numbers]

    def subject_words(self, class_word: str) -> str:
        """What stands for the subject in what the system is asked for."""
        return f"{self.token} {class_word}".strip()

    def text_words(self, class_word: str) -> str:
        """What stands for it in what CLIP-T reads."""
        return class_word if self.protocol.text == "class" else self.subject_words(class_word)

    @property
    def prompts_sha256(self) -> str:
        """Over the set of prompts: its name may be a file's, and files change."""
        return hashlib.sha256(self.prompt_set.model_dump_json().encode()).hexdigest()

    @property
    def drawings(self) -> int:
        """How many there will be."""
        return sum(len(self.prompts_of(one.kind)) for one in self.subjects.values()) * self.samples


def freeze(plan: EvaluationPlan, store: Store, *, prefix: str = "") -> None:
    """The plan lies in the folder from now on, or lay there already.

    Where one lies there that lacked a real picture or had another mask, ours takes its place: rows carry the digest of
    their subject, so those that were measured without are measured again.

    Raises:
        EvaluationChanged: another one lies there, and its rows are not ours (the field is named); or its plan was
            deleted and its drawings or rows are still there.
        InvalidArgument: the system has a name that is taken.
    """
    if plan.system.name == REAL_SYSTEM:
        raise InvalidArgument("--system", f"{REAL_SYSTEM!r} is what rows about real pictures say: choose another name")
    place, ours = f"{prefix}{PLAN}", (plan.model_dump_json(indent=1) + "\n").encode()
    if not store.exists(place):
        left = next((info.key for part in PARTS for info in store.list(f"{prefix}{part}")), "")
        if left and not store.exists(place):  # whoever wrote it since has written its plan before
            raise EvaluationChanged(
                f"{store.url} holds {left}, but no plan that says whose it is: choose another --out, or delete it whole"
            )
        if store.create(place, ours):
            return
    known = read_plan(store, prefix=prefix)
    told, wanted = known.model_dump(mode="json"), plan.model_dump(mode="json")
    for field in wanted:
        if told[field] != wanted[field] and not (field == "subjects" and _mended(known.subjects, plan.subjects)):
            raise EvaluationChanged(
                f"{store.url} holds an evaluation with another {field}: choose another --out, or delete it whole"
            )
    if known != plan:
        store.put(place, ours)


def read_plan(store: Store, *, prefix: str = "") -> EvaluationPlan:
    """The plan that lies there. Raises EvaluationChanged if none does, or it cannot be read."""
    try:
        return EvaluationPlan.model_validate_json(store.get(f"{prefix}{PLAN}"))
    except (ObjectMissing, ValidationError) as error:
        problem = str(error).splitlines()[0]
        raise EvaluationChanged(f"{store.url} holds no evaluation ({problem}): name the folder of one") from error


def _mended(known: Mapping[str, PlannedSubject], wanted: Mapping[str, PlannedSubject]) -> bool:
    """Whether subjects differ in masks and formerly unreadable pictures alone: nothing that changes a drawing."""
    if known.keys() != wanted.keys():
        return False
    for name, ours in wanted.items():
        theirs = known[name]
        there = {file: sha256 for file, sha256 in theirs.pictures.items() if sha256}
        same_pictures = theirs.pictures.keys() == ours.pictures.keys() and there.items() <= ours.pictures.items()
        same_otherwise = theirs.model_copy(update={"pictures": ours.pictures, "masks": ours.masks}) == ours
        if not (same_pictures and same_otherwise):
            return False
    return True
