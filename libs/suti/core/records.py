"""The rows that stages hand to one another. Plain data: how they are stored is `suti.infra.tables`' business.

Every row type has a `SCHEMA_VERSION`, raised whenever a column changes its meaning. Optional columns may be added
without raising it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Stage(StrEnum):
    """The stages of a run, in order. The value is the name used in keys, tickets, spans and reports."""

    GROUPING = "grouping"
    SELECTION = "selection"
    CAPTIONING = "captioning"
    EXPERTS = "experts"
    FILTERING = "filtering"
    APPRENTICE = "apprentice"


# What a stage counts, going in and coming out.
COUNTED: Mapping[Stage, str] = {
    Stage.GROUPING: "pictures",
    Stage.SELECTION: "clusters",
    Stage.CAPTIONING: "clusters",
    Stage.EXPERTS: "clusters",
    Stage.FILTERING: "candidates",
    Stage.APPRENTICE: "examples",
}


class Skill(StrEnum):
    """The four skills that target prompts ask for (SuTI, section 4)."""

    RECONTEXTUALISATION = "recontextualisation"
    ATTRIBUTE = "attribute"
    STYLE = "style"
    ACCESSORY = "accessory"


@dataclass(frozen=True, slots=True)
class PictureRow:
    """One usable picture of a cluster, with where it came from and where its pixels lie.

    The bytes at (`part`, `offset`, `size_bytes`) are the decoded, upright, RGB picture as PNG; `pixels_sha256` is over
    its raw RGB bytes, and `picture_id` over the bytes as crawled.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    picture_id: str
    cluster_id: str
    page_url: str  # canonical
    picture_url: str
    alt_text: str
    fetched_at: str  # RFC 3339, empty if the crawl did not say
    licence: str  # as stated by the page, empty if it said nothing
    width_px: int
    height_px: int
    pixels_sha256: str
    part: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DropRow:
    """Something that a stage took out, and why. Every item that enters a stage leaves it as a row or as a drop."""

    SCHEMA_VERSION: ClassVar[int] = 1

    kind: str  # record | page | pair | picture | cluster | prompt | expert | candidate
    id: str  # picture or cluster id where there is one, else the URL
    reason: str  # stable, upper case, listed in docs/errors.md
    score: float | None  # the number that decided, where one did
    detail: str
    page_url: str


@dataclass(frozen=True, slots=True)
class CaptionRow:
    """A picture's texts: as the web had it, as a captioner saw it, and both merged (SuTI, appendix A.1)."""

    SCHEMA_VERSION: ClassVar[int] = 1

    picture_id: str
    cluster_id: str
    alt_text: str
    caption: str
    text: str  # the refined text that experts and the apprentice are given


@dataclass(frozen=True, slots=True)
class PromptRow:
    """A target prompt: a text nobody has a picture for."""

    SCHEMA_VERSION: ClassVar[int] = 1

    prompt_id: str
    cluster_id: str
    skill: str  # a value of Skill
    text: str


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """A picture that an expert drew for a target prompt (PNG at `part`, `offset`, `size_bytes`)."""

    SCHEMA_VERSION: ClassVar[int] = 1

    candidate_id: str
    cluster_id: str
    prompt_id: str
    sample: int
    seed: int
    pixels_sha256: str
    part: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LossRow:
    """The loss of one step of one expert's tuning."""

    SCHEMA_VERSION: ClassVar[int] = 1

    cluster_id: str
    step: int  # 1-based
    loss: float


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """What the filter thinks of one candidate. Kept and refused alike, so that it can be replayed."""

    SCHEMA_VERSION: ClassVar[int] = 1

    candidate_id: str
    cluster_id: str
    prompt_id: str
    kept: bool
    reason: str  # KEPT | GAIN_TOO_LOW | UNLIKE_SUBJECT | COPY_OF_DEMONSTRATION | PICTURE_FAILED
    gain: float  # CLIP(candidate, prompt) - max CLIP(demonstration, prompt), in [-2, 2]
    prompt_similarity: float  # CLIP(candidate, prompt)
    copy_similarity: float  # highest CLIP similarity to a demonstration
    policy_digest: str
    copy_difference: float = 1.0  # least pixel difference to a demonstration, in [0, 1]


@dataclass(frozen=True, slots=True)
class ExampleRow:
    """What the apprentice learns from: demonstrations, target prompt, kept candidate."""

    SCHEMA_VERSION: ClassVar[int] = 1

    candidate_id: str
    cluster_id: str
    prompt_id: str
    shard: int


@dataclass(frozen=True, slots=True)
class ClusterScoreRow:
    """How alike the pictures of one raw cluster are, and what came of it. Kept and dropped alike."""

    SCHEMA_VERSION: ClassVar[int] = 1

    cluster_id: str
    similarity: float | None  # mean CLIP cosine over all pairs, in [-1, 1]; None for less than two pictures
    pictures: int
    pictures_kept: int
    kept: bool
    reason: str  # KEPT, or a reason of docs/errors.md
