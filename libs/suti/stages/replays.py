"""Child runs: a finished run's candidates judged anew at another policy, and an apprentice trained on the outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from pydantic import JsonValue

from suti.core.errors import PermanentError
from suti.core.records import Stage
from suti.stages.presets import merged
from suti.stages.run_orders import validated
from suti.stages.run_spec import RunSpec
from suti.stages.shards import RunFacts, survey


class ParentNotFiltered(PermanentError):
    """A replay was asked for of a run whose candidates are not all judged."""

    reason: ClassVar[str] = "PARENT_NOT_FILTERED"
    grpc_code = "FAILED_PRECONDITION"

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id} has not judged its candidates yet: wait for its filtering stage to be done")
        self.run_id = run_id


@dataclass(frozen=True)
class ReplayOrder:
    """What the child does otherwise than its parent."""

    filtering: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    apprentice: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    created_by: str = "anonymous"


def child_of(parent: RunSpec, facts: RunFacts, order: ReplayOrder, *, run_id: str, created_at: datetime) -> RunSpec:
    """The child's description. A child's child has the same parent: the run that drew the candidates.

    Raises:
        ParentNotFiltered: the parent still has candidates to judge, or none.
        BadOverride: names the field that is wrong.
    """
    filtering = survey(facts)[Stage.FILTERING]
    if not (filtering.settled and filtering.done):
        raise ParentNotFiltered(parent.run_id)
    changes: dict[str, JsonValue] = {}
    if order.filtering:
        changes["filtering"] = dict(order.filtering)
    if order.apprentice:
        changes["apprentice"] = dict(order.apprentice)
    return validated(
        merged(
            parent.model_dump(mode="json"),
            changes,
            {
                "run_id": run_id,
                "created_at": created_at.isoformat(),
                "created_by": order.created_by,
                "parent_run_id": parent.parent_run_id or parent.run_id,
                "overrides": merged(parent.overrides, changes),
            },
        )
    )
