"""An evaluation that was asked for over the network, and its cut into shards. No torch: who accepts it has none."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from suti.core import keys
from suti.core.errors import InvalidArgument
from suti.ml.evaluation.prompts import Prompt, PromptSet, prompt_set, prompts_for
from suti.ml.evaluation.protocols import named_protocol

MAX_SUBJECTS: Final = 1_000
MAX_SAMPLES: Final = 16
ORDER: Final = "order.json"  # parts of the operation
RESULT: Final = "result.bin"
CANCELLED: Final = "cancelled"
FAILED: Final = "failed.json"
ENDS: Final = (RESULT, CANCELLED, FAILED)  # with any of these nothing is left to be done
ITEMS: Final = "items/"


class OrderedSubject(BaseModel):
    """A registered subject, and what it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject_id: str
    class_word: str


class EvaluationOrder(BaseModel):
    """What is wanted, everything decided: the operation's `order.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    subjects: tuple[OrderedSubject, ...]
    prompts: str
    numbers: tuple[int, ...]
    samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)]
    protocol: str
    dino: str
    clip: str
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    steps: int
    guidance: float | None

    def check(self) -> None:
        """Does nothing for an order that can be carried out, as far as that can be said without a model.

        Raises:
            InvalidArgument: the field is named.
            UnknownProtocol: there is no such protocol.
        """
        named_protocol(self.protocol)
        longest = max(map(len, self.prompt_set().templates.values()))
        if any(number >= longest for number in self.numbers):
            raise InvalidArgument("prompt_numbers", f"prompts are numbered 0 to {longest - 1}: give some of these")

    def prompt_set(self) -> PromptSet:
        """The prompts, by name alone: no caller may have files of this machine read."""
        return prompt_set(self.prompts)

    def shards(self) -> list[tuple[OrderedSubject, Prompt | None]]:
        """The pieces of work in order: for each subject its real pictures (None), then each prompt."""
        prompts = self.prompt_set()
        found: list[tuple[OrderedSubject, Prompt | None]] = []
        for subject in self.subjects:
            found.append((subject, None))
            kind = prompts.kind_of(subject.class_word)
            found += [
                (subject, one) for one in prompts_for(prompts, kind) if not self.numbers or one.number in self.numbers
            ]
        return found


def evaluation_prefix(operation_id: str) -> str:
    """Below it lies what `suti evaluate` writes into its folder."""
    return keys.operation_part(operation_id, "evaluation/")


def item_key(operation_id: str, index: int) -> str:
    """Exists once a shard's rows are written."""
    return keys.operation_part(operation_id, f"{ITEMS}{index:06d}")
