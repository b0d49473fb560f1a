"""How large a demo is: what fits ten minutes on two cores, and a quick one to see that everything works."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from suti.client.inputs import SamplerName


@dataclass(frozen=True, kw_only=True)
class ToyPlan:
    """How much each model draws: the same in a demo and in `suti evaluate`, so that scores can be compared."""

    subjects: int = 34
    demonstrations: int = 4
    prompts_each: int = 1
    pictures_each: int = 6  # of one prompt, drawn side by side
    seed: int = 0

    @property
    def pictures(self) -> int:
        """Drawn by each model."""
        return self.subjects * self.prompts_each * self.pictures_each


@dataclass(frozen=True, kw_only=True)
class DemoPlan(ToyPlan):
    """Numbers of a demo. What a run does with a crawl is the preset's business, but for `changes`."""

    pages: int = 60
    crawl_px: int = 64
    expert_pictures: int = 44  # candidates of the run that are judged as well
    steps: int = 12
    sampler: SamplerName = "dpmsolver++"
    guidance: float | None = None  # None: the model's own
    callers: int = 3  # requests in flight at once
    quick: bool = False
    # Four shards for two slots: each experts' job costs ten seconds of imports.
    changes: Mapping[str, object] = field(default_factory=lambda: {"grouping": {"shard_clusters": 13}})


def quick(plan: DemoPlan) -> DemoPlan:
    """A few minutes less of everything: all parts are real, the scores mean little."""
    return replace(
        plan,
        pages=14,
        subjects=6,
        pictures_each=2,
        expert_pictures=16,
        steps=8,
        quick=True,
        changes={
            "experts": {"steps": 20, "samples_per_prompt": 1},
            "captioning": {"prompts_per_cluster": 2},
            "apprentice": {"steps": 20, "warmup_steps": 2, "checkpoint_steps": 10},
        },
    )
