"""What the two services that launch jobs tell them, and how a job that does a run's shard begins. No torch here."""

import os
from collections.abc import Callable
from typing import Any

from pydantic import Field
from ulid import ULID

from suti.core.errors import BadConfiguration
from suti.infra.jobs import environment as names
from suti.infra.jobs.entry import JobContext
from suti.infra.jobs.settings import LauncherSettings
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.stages.launched_work import RUN_ID, SHARD, JobPlan
from suti.stages.run_spec import load_run_spec


class NothingToDo(BadConfiguration):
    """A job was started without a word of what it is to do."""

    reason = "NOTHING_TO_DO"


class ShardLauncherSettings(LauncherSettings):
    """Settings that a launcher and its jobs share: a job reads the same class, from what `job_plan` tells it."""

    device: str = Field(default="cpu", description="Where jobs train and draw: cpu, cuda, cuda:1 ...")

    def job_plan(self, module: str) -> JobPlan:
        """How this service's jobs look. Secrets are never written down: jobs find them where they run."""
        prefix = self.model_config["env_prefix"]  # pyright: ignore[reportTypedDictNotRequiredAccess] - each has one
        told = {
            f"{prefix}STORE_URL": self.store_url,
            f"{prefix}STORE_ENDPOINT": self.store_endpoint or "",
            f"{prefix}STORE_REGION": self.store_region or "",
            f"{prefix}STORE_ALLOW_HTTP": "true" if self.store_allow_http else "",
            f"{prefix}MODELS_PATH": self.models_path,
            f"{prefix}MODELS_ANYWHERE": "true" if self.models_anywhere else "",
            f"{prefix}MODEL_DOWNLOADS": "true" if self.model_downloads else "",
            f"{prefix}DEVICE": self.device,
            names.TELEMETRY_FOLDER: str(self.telemetry_folder or ""),
            names.OTLP_ENDPOINT: self.otlp_endpoint or "",
            names.LOG_LEVEL: self.log_level,
        }
        return JobPlan(
            command=(self.job_python, "-m", module),
            environment={name: value for name, value in told.items() if value},
            attempts=self.job_attempts,
            deadline_s=self.job_deadline_s,
        )


def run_shard_job(
    job: JobContext, settings: ShardLauncherSettings, store: Store, run_shard: Callable[..., Any]
) -> None:
    """Does the shard that the environment names, by a stage's `run_shard`. Raises NothingToDo, and what that raises."""
    from suti.stages.model_cache import ModelCache  # noqa: PLC0415 - launchers have no library of pictures or models

    run_id, shard = os.environ.get(RUN_ID), os.environ.get(SHARD, "0")
    if not run_id:
        raise NothingToDo(f"{RUN_ID} is not set: start this job through its service")
    fence = str(ULID())  # begins with the time at which the work began: what stages took is told by it
    spec = load_run_spec(store, run_id)
    models = ModelCache(settings.models_path, rules=settings.model_rules(), device=settings.device).of(spec)
    ledger = Ledger(store, run_id)
    run_shard(ledger, spec, models, int(shard), progress=job.progress, stopping=job.stopping, fence=fence)
