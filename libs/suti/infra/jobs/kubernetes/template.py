"""What a launcher's operator says of its pods, as data: one JSON file (the chart renders it), strict in every field."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError
from pydantic.alias_generators import to_camel

from suti.infra.jobs.kubernetes.errors import BadJobTemplate

# Objects of the Kubernetes API that are handed on as they are; the API server checks them.
_Object = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid", frozen=True
    )


class Accelerator(_Part):
    """What each pod gets of one kind of device: `nvidia.com/gpu`, `google.com/tpu` ..."""

    resource: Annotated[str, Field(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")]
    count: PositiveInt = 1


class Owner(_Part):
    """The object whose deletion deletes the jobs: the launcher's Deployment, say."""

    api_version: str = "apps/v1"
    kind: str = "Deployment"
    name: str
    uid: str | None = None  # unset: asked for at the API server


class Resources(_Part):
    """Quantities by resource name."""

    requests: dict[str, str] = Field(default_factory=dict)
    limits: dict[str, str] = Field(default_factory=dict)


class JobTemplate(_Part):
    """Everything about a launcher's pods that does not come from the work itself. Names as in a pod's manifest."""

    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    image: str
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: list[_Object] = Field(default_factory=list[_Object])
    labels: dict[str, str] = Field(default_factory=dict, description="On jobs and pods; also what is watched.")
    job_labels: dict[str, str] = Field(default_factory=dict, description="On jobs alone.")
    job_annotations: dict[str, str] = Field(default_factory=dict, description="On jobs alone.")
    pod_labels: dict[str, str] = Field(default_factory=dict, description="On pods alone.")
    pod_annotations: dict[str, str] = Field(default_factory=dict)
    service_account_name: str | None = Field(default=None, description="Its token is never mounted.")
    env: list[_Object] = Field(default_factory=list[_Object], description="Secrets come in here, by reference.")
    env_from: list[_Object] = Field(default_factory=list[_Object])
    resources: Resources = Resources()
    accelerator: Accelerator | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: list[_Object] = Field(default_factory=list[_Object])
    affinity: _Object = Field(default_factory=dict)
    topology_spread_constraints: list[_Object] = Field(default_factory=list[_Object])
    priority_class_name: str | None = None
    runtime_class_name: str | None = None
    scheduler_name: str | None = None
    run_as_user: PositiveInt | None = Field(
        default=None, description="Unset: the image's user, which must be a number."
    )
    run_as_group: PositiveInt | None = None
    fs_group: PositiveInt | None = None
    volumes: list[_Object] = Field(default_factory=list[_Object])
    volume_mounts: list[_Object] = Field(default_factory=list[_Object])
    tmp_size: str | None = Field(default=None, description="Most that a pod may write to /tmp, such as 10Gi.")
    queue: str | None = Field(default=None, description="Kueue's LocalQueue; jobs are then created suspended.")
    suspend: bool = Field(default=False, description="Create jobs suspended: somebody else lets them start.")
    gang_service: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] | None = Field(
        default=None, description="The headless service by which pods of gangs meet; it selects `suti.dev/gang: true`."
    )
    owner: Owner | None = None
    grace_s: PositiveInt = Field(default=30, description="From SIGTERM to SIGKILL of a pod.")
    hang_s: PositiveFloat | None = Field(default=1800.0, description="A pod that said nothing so long is replaced.")
    ttl_s: NonNegativeInt = Field(default=3600, description="A job whose commit was seen is deleted so long after.")
    max_failed_indexes: PositiveInt | None = Field(default=None, description="Unset: all indexes get their chance.")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The template in a JSON file. Raises BadJobTemplate, naming the field."""
        try:
            return cls.model_validate_json(path.read_text())
        except OSError as error:
            raise BadJobTemplate(
                f"cannot read the job template {path} ({error}): mount it, or correct the path"
            ) from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(step) for step in first["loc"]) or "the file"
            raise BadJobTemplate(f"job template {path}: {field}: {first['msg']}: correct it") from error
