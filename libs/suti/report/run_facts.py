"""What any run came to, or how far it is, in numbers: the `report.json` of `suti run report`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from suti.core.records import COUNTED, Stage
from suti.infra.ledger import Commit
from suti.report.charts import CURVE_POINTS, smoothed
from suti.report.facts import StageFacts
from suti.stages.presets import SECTIONS
from suti.stages.run_spec import RunSpec
from suti.stages.run_view import RunView, StageView


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunStageFacts(StageFacts):
    """What went through a stage's committed shards, and how many shards there are."""

    state: str = Field(description="waiting, running, done, inherited (from the parent run) or skipped.")
    shards_committed: int
    shards_total: int = Field(description="0 while nobody knows.")
    shards_dead: int = Field(description="Given up for good: the run goes on, or went on, without them.")
    shards_held: int = Field(description="Given up until somebody replays or drops their dead letters.")
    work_seconds: float = Field(description="Sum over all committed shards: what the stage's workers were busy for.")


class RunModel(_Frozen):
    """One model of a run."""

    name: str
    sha256: str = Field(description="Over its files; empty for names that a hub resolves.")


class Sample(_Frozen):
    """Of what the pictures of the page were chosen. The numbers of stages are of all shards, always."""

    shards: list[int] = Field(description="Shards whose pictures were looked at.")
    of_shards: int = Field(description="Shards that have pictures to show.")
    clusters: int = Field(default=0, description="Clusters shown.")
    candidates: int = Field(default=0, description="Candidates shown, kept and refused.")
    left_out: dict[str, int] = Field(
        default_factory=dict,
        description="Pictures of these shards not shown: TOMBSTONED, or by the error that reading them gave.",
    )
    unreadable: dict[int, str] = Field(
        default_factory=dict, description="Shards of which nothing could be shown, and the error's reason."
    )


class RunReport(_Frozen):
    """`report.json`. Digests are empty where the run did not come that far."""

    schema_version: int = 1
    run_id: str
    parent_run_id: str = Field(default="", description="Of a replay: the run whose candidates were judged anew.")
    state: str = Field(description="RUNNING, CANCELLING, SUCCEEDED, EMPTY, FAILED or CANCELLED.")
    ended: bool = Field(description="False: the numbers are those so far.")
    reason: str = ""
    message: str = ""
    created_at: str = Field(description="RFC 3339.")
    created_by: str
    ended_at: str = ""
    read_at: str = Field(description="When this report was written.")
    crawl: str
    seed: int
    preset: str
    overrides: dict[str, JsonValue] = Field(description="What the caller changed of the preset.")
    dataset_digest: str
    apprentice_sha256: str
    stages: dict[str, RunStageFacts]
    seconds: float = Field(description="From the run's creation to its end, or to now.")
    models: dict[str, RunModel] = Field(description="By role.")
    recipes: dict[str, dict[str, JsonValue]] = Field(description="Everything that the run was frozen with.")
    environment: dict[str, JsonValue] = Field(description="Threads, dtype, processor and software, likewise.")
    loss_steps: int = Field(default=0, description="Steps of the apprentice's training; 0 before it is done.")
    loss_curve: list[float] = Field(default_factory=list, description="Its loss, each a mean of neighbouring steps.")
    sample: Sample


def run_report(
    view: RunView,
    commits: Mapping[Stage, Mapping[int, Commit]],
    *,
    losses: Sequence[float],
    sample: Sample,
    now: datetime | None = None,
) -> RunReport:
    """Everything that `report.json` says. Pure."""
    spec, outcome, read_at = view.spec, view.outcome, now or datetime.now(UTC)
    ended_at = outcome.ended_at if outcome else None
    frozen = spec.model_dump(mode="json")
    return RunReport(
        run_id=spec.run_id,
        parent_run_id=spec.parent_run_id,
        state=view.state.value,
        ended=outcome is not None,
        reason=outcome.reason if outcome else "",
        message=outcome.message if outcome else "",
        created_at=spec.created_at.isoformat(timespec="seconds"),
        created_by=spec.created_by,
        ended_at=ended_at.isoformat(timespec="seconds") if ended_at else "",
        read_at=read_at.isoformat(timespec="seconds"),
        crawl=spec.input.url,
        seed=spec.seed,
        preset=spec.preset,
        overrides=spec.overrides,
        dataset_digest=outcome.dataset_digest if outcome else "",
        apprentice_sha256=outcome.apprentice_sha256 if outcome else "",
        stages={one.stage.value: _stage(one, commits.get(one.stage, {})) for one in view.stages},
        seconds=round(((ended_at or read_at) - spec.created_at).total_seconds(), 1),
        models=_models(spec),
        recipes={name: frozen[name] for name in frozen if name in SECTIONS - {"environment"}},
        environment=frozen["environment"],
        loss_steps=len(losses),
        loss_curve=smoothed(losses, window=-(-len(losses) // CURVE_POINTS)),
        sample=sample,
    )


def _stage(view: StageView, commits: Mapping[int, Commit]) -> RunStageFacts:
    return RunStageFacts(
        items=COUNTED[view.stage],
        items_in=view.items_in,
        items_out=view.items_out,
        dropped=sum(commit.counts.get("dropped", 0) for commit in commits.values()),
        dropped_by_reason=dict(sorted(view.dropped.items(), key=lambda entry: (-entry[1], entry[0]))),
        seconds=round(view.elapsed.total_seconds(), 2),
        state=view.state.value.lower(),
        shards_committed=len(view.survey.done),
        shards_total=view.shards_total,
        shards_dead=len(view.survey.dead),
        shards_held=len(view.survey.held),
        work_seconds=round(sum(commit.seconds for commit in commits.values()), 2),
    )


def _models(spec: RunSpec) -> dict[str, RunModel]:
    roles = {"base": spec.models.base, "clip": spec.models.clip, "warm start": spec.models.warmstart}
    return {role: RunModel(name=model.name, sha256=model.sha256) for role, model in roles.items() if model is not None}
