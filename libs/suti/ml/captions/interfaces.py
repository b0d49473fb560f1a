"""What a captioner and a rewriter are. Each has back ends that need no network and back ends that do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from PIL import Image

from suti.core.errors import PermanentError
from suti.core.records import Skill

if TYPE_CHECKING:  # back ends that ask an endpoint work without torch
    from torch import Tensor


class AnswerUnusable(PermanentError):
    """A model answered, but not with the texts it was asked for; the cluster is dropped with this reason."""

    reason = "ANSWER_UNUSABLE"


@dataclass(frozen=True, slots=True)
class TargetPrompt:
    """A text that nobody has a picture for, and the skill it asks for."""

    skill: Skill
    text: str


class Captioner(Protocol):
    """Looks at pictures."""

    def caption(self, pictures: Sequence[Image.Image]) -> list[str]:
        """One generic sentence for each picture, in order: what is to be seen, not who made it."""
        ...


@runtime_checkable
class EmbeddingCaptioner(Protocol):
    """A captioner to which the stored CLIP embeddings are enough, so that no picture is opened again.

    Legend: K pictures of one cluster, D embedding width.
    """

    def caption_cluster(self, rows_KD: "Tensor") -> list[str]:
        """One sentence for each picture of one cluster. Shapes: (K, D), rows of unit length -> K texts."""
        ...


class Rewriter(Protocol):
    """Works on texts alone."""

    def refine(self, alt_texts: Sequence[str], captions: Sequence[str]) -> list[str]:
        """One short, specific text for each picture of one cluster (SuTI, appendix A.1).

        What the alt texts know (names, brands) is merged with what the captions see: "duggee talking puppet hey duggee
        chicco 12m" and "a toy on the table" make "Hey duggee toy on the table". Alt texts are cleaned already.
        """
        ...

    def propose(self, texts: Sequence[str], *, own: Sequence[str] = (), count: int, seed: int) -> list[TargetPrompt]:
        """Up to `count` different target prompts for the cluster with these texts, none of which is one of them.

        Nor is one among `own`, what else was ever said of the pictures: alt texts, captions.

        The same arguments give the same prompts (an endpoint is asked for that, and cannot be held to it).
        """
        ...
