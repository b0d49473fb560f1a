"""What a run came to, in numbers: `report.json`, and what `report.html` tells in pictures as well."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StageFacts(_Frozen):
    """What went through one stage. `items_in` = `items_out` + `dropped` for all stages but the apprentice."""

    items: str = Field(default="", description="What is counted: pictures, clusters, candidates, examples.")
    items_in: int
    items_out: int
    dropped: int
    dropped_by_reason: dict[str, int] = Field(default_factory=dict, description="Reasons of docs/errors.md.")
    seconds: float = Field(description="From the first ticket to the last commit; stages overlap.")


class Score(_Frozen):
    """A mean of n values with its 95 % bootstrap interval (whole subjects are resampled)."""

    mean: float
    low: float
    high: float
    n: int


class ModelScores(_Frozen):
    """One way to draw, judged five ways. The expert has its own subjects and prompts, those of the run."""

    clip_t: Score = Field(description="Cosine of picture and prompt.")
    clip_i: Score = Field(description="Mean cosine of picture and demonstrations.")
    identified_16way: Score = Field(description="Share of pictures nearest to the true one of 16 subjects.")
    follows_prompt: Score = Field(description="Share of pictures nearest to a render in the asked view, whoever it is.")
    overall: Score = Field(description="Share of pictures that are identified and follow their prompt.")


class Bounds(_Frozen):
    """What `identified_16way` gives to true renders of the subject, and to drawings of somebody else."""

    ceiling: Score
    floor: Score


class Facts(_Frozen):
    """`report.json`."""

    schema_version: int = 2
    run_id: str
    created_at: str = Field(description="RFC 3339.")
    seed: int
    quick: bool = Field(default=False, description="A demo cut short; its scores mean little.")
    dataset_digest: str
    apprentice_sha256: str
    stages: dict[str, StageFacts]
    scores: dict[str, ModelScores] = Field(description="By base, warmstart, apprentice, expert.")
    apprentice_minus_warmstart: ModelScores = Field(
        description="What apprenticeship adds: same subjects, prompts and seeds, paired."
    )
    identified_16way_bounds: Bounds
    seconds: dict[str, float] = Field(description="Wall-clock time of each part of the demo, and `total`.")
    peak_rss_bytes: int = Field(description="Highest sum of resident memory over all processes.")
    machine: dict[str, str]
    models: dict[str, str] = Field(description="SHA-256 of each model's files, by role.")
    recipes: dict[str, str] = Field(default_factory=dict, description="What the run was told, for reading.")


def write_json(facts: BaseModel, path: Path) -> None:
    """`report.json`, whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(facts.model_dump_json(indent=1) + "\n", encoding="utf-8")
    new.replace(path)
