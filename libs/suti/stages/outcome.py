"""How a run ended: one object, written once, that workers, the command and child runs read."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from suti.core import keys
from suti.core.errors import PermanentError
from suti.core.records import CandidateRow, CaptionRow, PictureRow, PromptRow, Stage, VerdictRow
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import ObjectMissing, Store
from suti.stages.digest import JudgedCandidate, dataset_digest
from suti.stages.environments import differing_environments
from suti.stages.lineage import ShardRows
from suti.stages.run_spec import RunSpec
from suti.stages.shards import Ending, RunState


class OutcomeUnreadable(PermanentError):
    """An outcome.json is damaged, or of a version that this one does not understand."""

    reason = "OUTCOME_UNREADABLE"
    grpc_code = "DATA_LOSS"


class RunOutcome(BaseModel):
    """`outcome.json`. Digests are empty where the run did not come that far."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    state: RunState
    stage: Stage | None = None
    reason: str = ""
    message: str = ""
    ended_at: datetime
    dataset_digest: str = ""
    apprentice_sha256: str = ""


def find_outcome(store: Store, run_id: str) -> RunOutcome | None:
    """How the run ended, None while it goes on. Raises OutcomeUnreadable."""
    try:
        return RunOutcome.model_validate_json(store.get(keys.run_outcome(run_id)))
    except ObjectMissing:
        return None
    except ValueError as error:
        raise OutcomeUnreadable(
            f"{keys.run_outcome(run_id)} is no outcome ({error}): "
            "delete it and start the pipeline service again, and the run ends anew"
        ) from error


def run_is_ended(store: Store, run_id: str) -> bool:
    """Whether the run has an outcome, readable or not."""
    return store.exists(keys.run_outcome(run_id))


def end_run(store: Store, spec: RunSpec, ending: Ending) -> RunOutcome:
    """Writes the run's outcome unless it has one; returns the one that stands."""
    succeeded = ending.state is RunState.SUCCEEDED
    differences = differing_environments(Ledger(store, spec.run_id)) if succeeded else ()
    outcome = RunOutcome(
        state=ending.state,
        stage=ending.stage,
        reason=ending.reason,
        message="; ".join(filter(None, (ending.message, *differences))),
        ended_at=datetime.now(UTC),
        dataset_digest=dataset_digest(judged_candidates(store, spec)) if succeeded else "",
        apprentice_sha256=weights_sha256(Ledger(store, spec.run_id).get(Stage.APPRENTICE, 0)) if succeeded else "",
    )
    store.create(keys.run_outcome(spec.run_id), outcome.model_dump_json(indent=1).encode())
    return find_outcome(store, spec.run_id) or outcome


def judged_candidates(store: Store, spec: RunSpec) -> Iterator[JudgedCandidate]:
    """Every candidate that was judged in the run, with what would be shown beside it."""
    for commit in Ledger(store, spec.run_id).commits(Stage.FILTERING):
        shard = ShardRows(store, spec, commit.shard)
        drawn = {row.candidate_id: row for row in shard.read(Stage.EXPERTS, "candidates.parquet", CandidateRow)}
        prompts = {row.prompt_id: row.text for row in shard.read(Stage.CAPTIONING, "prompts.parquet", PromptRow)}
        pictures = {
            (row.cluster_id, row.picture_id): row.pixels_sha256
            for row in shard.read(Stage.SELECTION, "clusters.parquet", PictureRow)
        }
        shown: dict[str, list[tuple[str, str]]] = {}
        for row in shard.read(Stage.CAPTIONING, "captions.parquet", CaptionRow):
            shown.setdefault(row.cluster_id, []).append((pictures[row.cluster_id, row.picture_id], row.text))
        for verdict in shard.read(Stage.FILTERING, "verdicts.parquet", VerdictRow):
            yield JudgedCandidate(
                candidate_id=verdict.candidate_id,
                pixels_sha256=drawn[verdict.candidate_id].pixels_sha256,
                prompt=prompts[verdict.prompt_id],
                demonstrations=tuple(sorted(shown[verdict.cluster_id])),
                kept=verdict.kept,
            )


def weights_sha256(commit: Commit) -> str:
    """SHA-256 (hex) of a trained model's weights: over (name, SHA-256) of its safetensors parts, sorted by name.

    This is a checkpoint's id as well.
    """
    total = hashlib.sha256()
    for part in commit.parts:
        if part.name.endswith(".safetensors"):
            total.update(f"{part.name}\n{part.sha256}\n".encode())
    return total.hexdigest()
