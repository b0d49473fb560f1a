"""A run and the judgements of its models, as the facts of a report."""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import torch

from suti.api.pipeline.v1.pipeline_pb2 import Run
from suti.core.records import COUNTED, Stage
from suti.local.demo.judge import Judged, difference, scores
from suti.local.demo.plan import DemoPlan
from suti.local.demo.watching import stage_name
from suti.report.facts import Bounds, Facts, StageFacts
from suti.stages.run_spec import RunSpec


def facts_of(
    run: Run,
    spec: RunSpec,
    plan: DemoPlan,
    judged: Mapping[str, Sequence[Judged]],
    *,
    bounds: Bounds,
    seconds: Mapping[str, float],
    peak_rss_bytes: int,
) -> Facts:
    """Everything that `report.json` says. `judged` is by base, warmstart, apprentice, expert."""
    return Facts(
        run_id=run.run_id,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=plan.seed,
        quick=plan.quick,
        dataset_digest=run.outcome.dataset_digest,
        apprentice_sha256=run.outcome.apprentice_sha256,
        stages=_stages(run),
        scores={name: scores(rows) for name, rows in judged.items()},
        apprentice_minus_warmstart=difference(judged["apprentice"], judged["warmstart"]),
        identified_16way_bounds=bounds,
        seconds=dict(seconds),
        peak_rss_bytes=peak_rss_bytes,
        machine=_machine(),
        models=_models(spec),
        recipes=_recipes(spec, plan),
    )


def _stages(run: Run) -> dict[str, StageFacts]:
    return {
        stage_name(stage): StageFacts(
            items=COUNTED[Stage(stage_name(stage))],
            items_in=stage.items_in,
            items_out=stage.items_out,
            dropped=0 if stage_name(stage) == "apprentice" else stage.items_in - stage.items_out,
            dropped_by_reason=dict(sorted(stage.dropped.items(), key=lambda entry: -entry[1])),
            seconds=round(stage.elapsed.ToNanoseconds() / 1e9, 2),
        )
        for stage in run.stages
    }


def _models(spec: RunSpec) -> dict[str, str]:
    roles = {"base": spec.models.base, "clip": spec.models.clip, "warm start": spec.models.warmstart}
    return {role: model.sha256 for role, model in roles.items() if model is not None}


def _recipes(spec: RunSpec, plan: DemoPlan) -> dict[str, str]:
    experts, learning = spec.experts, spec.apprentice
    return {
        "experts": f"{experts.method}, {experts.steps} steps, {experts.samples_per_prompt} pictures of each prompt",
        "filter": f"gain above {spec.filtering.min_gain:g}",
        "training": f"{learning.steps} steps from the {learning.start}, {learning.batch_subjects} subjects each",
        "drawing": f"{plan.sampler}, {plan.steps} steps, {plan.pictures} pictures by each model",
    }


def _machine() -> dict[str, str]:
    return {
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "torch": torch.__version__,
    }
