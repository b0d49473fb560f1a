"""What the two services that launch jobs tell them, and how a job that does a run's shard begins. No torch here."""

import os
from collections.abc import Callable
from typing import Any

from pydantic import Field
from ulid import ULID

from suti.core.errors import BadConfiguration
from suti.core.records import Stage
from suti.infra.jobs import environment as names
from suti.infra.jobs.entry import JobContext
from suti.infra.jobs.settings import LauncherSettings
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.stages.run_spec import load_run_spec
from suti.stages.wave_jobs import RUN_ID, JobPlan
from suti.stages.waves import Gathering


class NothingToDo(BadConfiguration):
    """A job was started without a word of what it is to do."""

    reason = "NOTHING_TO_DO"


class NoParallelism(BadConfiguration):
    """Jobs of many shards shall have a deadline, and nobody said how many of them a cluster does at a time."""

    reason = "JOB_PARALLELISM_MISSING"


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
            at_a_time=self._at_a_time(),
        )

    def _at_a_time(self) -> int | None:
        if self.jobs_backend == "kubernetes":
            return self.job_parallelism
        return min(self.job_parallelism or self.slots, self.slots)

    def gathering(self) -> Gathering:
        """How shards come together in jobs.

        Raises:
            NoParallelism: what time such jobs may take cannot be told from a shard's.
        """
        found = Gathering(wait_s=self.wave_wait_s, most=self.wave_shards, at_once=self.shards_at_once)
        if self.job_deadline_s is not None and self._at_a_time() is None and found.together > 1:
            raise NoParallelism(
                f"job_deadline_s is a shard's time, and a job has up to {found.together} shards, and nobody knows how "
                "many of them the cluster does at a time: set job_parallelism (the chart's jobs.podsAtOnce) to as "
                "many pods as surely run at once, or wave_shards to 1, or no job_deadline_s"
            )
        return found


def run_shard_job(
    job: JobContext, settings: ShardLauncherSettings, store: Store, stage: Stage, run_shard: Callable[..., Any]
) -> None:
    """Does the shard that is the job's index, by its stage's `run_shard`, unless it was done before.

    Raises NothingToDo, and what `run_shard` raises.
    """
    from suti.stages.model_cache import ModelCache  # noqa: PLC0415 - launchers have no library of pictures or models

    run_id = os.environ.get(RUN_ID)
    if not run_id:
        raise NothingToDo(f"{RUN_ID} is not set: start this job through its service")
    fence = str(ULID())  # begins with the time at which the work began: what stages took is told by it
    ledger = Ledger(store, run_id)
    if ledger.is_committed(stage, job.index):  # launched twice, or killed right after its commit
        return
    spec = load_run_spec(store, run_id)
    models = ModelCache(settings.models_path, rules=settings.model_rules(), device=settings.device).of(spec)
    run_shard(ledger, spec, models, job.index, progress=job.progress, stopping=job.stopping, fence=fence)
