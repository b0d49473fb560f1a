"""`run.json`: everything that changes a run's result, frozen when the run is created.

Light on purpose: the pipeline service and the launchers read it without torch.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PositiveInt

from suti.core import keys
from suti.core.errors import PermanentError
from suti.infra.store import Store
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.captions.recipe import CaptioningRecipe
from suti.ml.clusters.recipe import GroupingRecipe, SelectionRecipe
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.quality.recipe import FilterRecipe


class RunSpecInvalid(PermanentError):
    """A run.json cannot be read by this version."""

    reason = "RUN_SPEC_INVALID"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CrawlInput(_Frozen):
    """Where the pictures come from."""

    url: str = Field(description="Folder, file, file:// or s3:// URL of the crawl.")
    format: Literal["warc", "img2dataset"]
    sha256: str = Field(default="", description="Over the input's bytes where it is one file; empty for folders.")


class ModelRef(_Frozen):
    """A model by place and by content."""

    name: str = Field(description="A name of `suti models list`, a folder, or an open_clip / hub name.")
    sha256: str = Field(default="", description="Over the model's files; empty only for names a hub resolves.")


class Models(_Frozen):
    """The models of a run, by role."""

    base: ModelRef
    clip: ModelRef
    warmstart: ModelRef | None = None


class Environment(_Frozen):
    """What makes floating-point results repeatable.

    `cpu_flags` and `versions` are those of the process that froze the run, for the record. Every commit says what its
    shard was done under; where shards of a stage differ, the run's outcome says so (`suti.stages.environments`).
    """

    torch_threads: PositiveInt = 1
    dtype: Literal["float32", "bfloat16"] = "float32"
    cpu_flags: tuple[str, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)


class RunSpec(_Frozen):
    """One run, whole: input, models by hash, recipes, seed and environment."""

    schema_version: Literal[1] = 1
    run_id: str
    created_at: datetime
    created_by: str
    seed: int = Field(default=0, ge=0, lt=2**63)
    preset: Literal["paper", "toy", "custom"] = "custom"
    parent_run_id: str = Field(default="", description="Set on a replay: the run whose candidates are judged anew.")
    overrides: dict[str, JsonValue] = Field(
        default_factory=dict, description="What the caller changed of the preset; for the record, merged already."
    )
    input: CrawlInput
    models: Models
    grouping: GroupingRecipe = GroupingRecipe()
    selection: SelectionRecipe = SelectionRecipe()
    captioning: CaptioningRecipe = CaptioningRecipe()
    experts: ExpertRecipe = ExpertRecipe()
    filtering: FilterRecipe = FilterRecipe()
    apprentice: ApprenticeRecipe = ApprenticeRecipe()
    generation: SamplingRecipe = SamplingRecipe(guidance=15.0)
    environment: Environment = Environment()


def load_run_spec(store: Store, run_id: str) -> RunSpec:
    """Read a run's frozen description.

    Raises:
        ObjectMissing: there is no such run.
        RunSpecInvalid: it was written by a version that this one does not understand.
    """
    try:
        return RunSpec.model_validate_json(store.get(keys.run_spec(run_id)))
    except ValueError as error:
        raise RunSpecInvalid(f"run {run_id}: {error}; create the run anew with this version") from error
