"""The pictures of a report: PNG bytes with what stands beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Shown:
    """One picture with its text."""

    png: bytes
    text: str = ""


@dataclass(frozen=True)
class ClusterSheet:
    """The pictures of one page that became a cluster."""

    page_url: str
    pictures: Sequence[Shown]  # the texts are the refined ones


@dataclass(frozen=True)
class CandidateCard:
    """What an expert drew, and what the filter thought of it."""

    png: bytes
    demonstration_png: bytes
    prompt: str
    kept: bool
    reason: str
    gain: float
    copy_similarity: float


@dataclass(frozen=True)
class DrawnRow:
    """One prompt for one unseen subject, drawn by several models from the same seed."""

    prompt: str
    by_model: Mapping[str, bytes]  # base, warmstart, apprentice
    identified: Mapping[str, bool]
    overall: Mapping[str, bool]  # and follows the prompt


@dataclass(frozen=True)
class SubjectSheet:
    """A subject that no stage and no training saw."""

    name: str
    demonstrations: Sequence[Shown]
    rows: Sequence[DrawnRow]


@dataclass(frozen=True)
class Gallery:
    """Everything a report shows. Each list may be empty; its section is then left out."""

    clusters: Sequence[ClusterSheet] = ()
    candidates: Sequence[CandidateCard] = ()
    subjects: Sequence[SubjectSheet] = ()
    losses: Sequence[float] = ()  # of the apprentice, one a step
