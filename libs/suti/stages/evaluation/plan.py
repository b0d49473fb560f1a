"""What is evaluated, frozen before the first picture: an evaluation that goes on goes on with the same plan."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from suti.core.errors import PermanentError
from suti.infra.store import ObjectMissing, Store
from suti.ml.evaluation.prompts import Kind, Prompt, PromptSet, prompts_for
from suti.ml.evaluation.protocols import Protocol
from suti.stages.evaluation.places import PLAN


class EvaluationChanged(PermanentError):
    """A folder holds another evaluation than the one that is asked for."""

    reason: ClassVar[str] = "EVALUATION_CHANGED"
    grpc_code = "FAILED_PRECONDITION"


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
    shown: tuple[str, ...] = Field(description="Those that the system saw: its demonstrations.")


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
    def drawings(self) -> int:
        """How many there will be."""
        return sum(len(self.prompts_of(one.kind)) for one in self.subjects.values()) * self.samples


def freeze(plan: EvaluationPlan, store: Store, *, prefix: str = "") -> None:
    """The plan lies in the folder from now on, or lay there already.

    Raises:
        EvaluationChanged: another one lies there, and its rows are not ours; the field is named.
    """
    place = f"{prefix}{PLAN}"
    if store.create(place, (plan.model_dump_json(indent=1) + "\n").encode()):
        return
    known = read_plan(store, prefix=prefix)
    told, wanted = known.model_dump(mode="json"), plan.model_dump(mode="json")
    for field in wanted:
        if told[field] != wanted[field]:
            raise EvaluationChanged(
                f"{store.url} holds an evaluation with another {field}: choose another --out, or delete that one"
            )


def read_plan(store: Store, *, prefix: str = "") -> EvaluationPlan:
    """The plan that lies there. Raises EvaluationChanged if none does, or it cannot be read."""
    try:
        return EvaluationPlan.model_validate_json(store.get(f"{prefix}{PLAN}"))
    except (ObjectMissing, ValidationError) as error:
        problem = str(error).splitlines()[0]
        raise EvaluationChanged(f"{store.url} holds no evaluation ({problem}): name the folder of one") from error
