"""What both launchers are told of their jobs, and the backend that follows from it."""

import sys
from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from suti.core.errors import BadConfiguration
from suti.infra.jobs.local import LocalJobs
from suti.infra.jobs.port import JobsBackend
from suti.infra.settings import ServiceSettings
from suti.infra.store import Store


class NoJobTemplate(BadConfiguration):
    """Jobs shall run on Kubernetes, and nobody said how their pods look."""

    reason = "JOB_TEMPLATE_MISSING"


class LauncherSettings(ServiceSettings):
    """A launcher's own settings derive from this."""

    jobs_backend: Literal["local", "kubernetes"] = Field(
        default="local", description="Where jobs run: as processes of this machine, or as Indexed Jobs of a cluster."
    )
    job_template: Path | None = Field(
        default=None, description="Kubernetes: the JSON file that says how pods look (the chart writes it)."
    )
    kubeconfig: Path | None = Field(default=None, description="Kubernetes from outside; unset: the service account.")
    jobs_folder: Path = Field(default=Path("/var/lib/suti/jobs"), description="Where local jobs keep their state.")
    slots: PositiveInt = Field(default=1, description="Local jobs at a time.")
    ack_wait_s: PositiveFloat = Field(
        default=120.0,
        description="A ticket whose launcher was silent so long goes to another. Its job goes on meanwhile.",
    )
    concurrency: PositiveInt = Field(
        default=10_000, description="Tickets in hand at a time; each waits for its shard, which is an index of a job."
    )
    wave_wait_s: NonNegativeFloat = Field(
        default=0.5, description="Shards that become ready within this time of the first one go into one job."
    )
    wave_shards: PositiveInt = Field(default=1_000, le=10_000, description="Most shards of one job.")
    shards_at_once: PositiveInt | None = Field(
        default=None,
        description="Shards in jobs at a time: twice what runs at once, so that few pods wait for nodes. Unset: all.",
    )
    job_parallelism: PositiveInt | None = Field(
        default=None,
        description="Most pods of one job at a time. Unset: as many as the cluster has room for, and no deadline.",
    )
    job_attempts: PositiveInt = Field(default=3, description="Attempts of a job before its ticket is tried again.")
    job_deadline_s: PositiveFloat | None = Field(
        default=None,
        description="A shard's time from start to end, with all its attempts and what its pods wait for nodes. A job "
        "has it once for each round of its shards, `job_parallelism` (local: `slots`) at a time, and failed then; so "
        "on Kubernetes, jobs of several shards need `job_parallelism`. Unset: as it takes.",
    )
    job_retry_s: PositiveFloat = Field(default=1.0, description="Local: before a second attempt; then longer.")
    job_grace_s: PositiveFloat = Field(default=10.0, description="Local: from SIGTERM to SIGKILL of a job.")

    @property
    def job_python(self) -> str:
        """The Python of jobs: ours on this machine, the image's own on a cluster."""
        return "python" if self.jobs_backend == "kubernetes" else sys.executable

    def open_jobs(self, store: Store, *, launcher: str) -> JobsBackend:
        """The backend for the launcher `suti-experts` or `suti-apprentice`.

        Raises:
            NoJobTemplate, BadJobTemplate, KubernetesUnreachable: what is missing for jobs on Kubernetes.
        """
        if self.jobs_backend == "local":
            self.jobs_folder.mkdir(parents=True, exist_ok=True)
            return LocalJobs(self.jobs_folder, slots=self.slots, grace_s=self.job_grace_s, retry_s=self.job_retry_s)
        if self.job_template is None:
            raise NoJobTemplate("jobs shall run on Kubernetes, but job_template is not set: name the JSON file")
        # Only here: whoever launches local jobs needs no Kubernetes client.
        from suti.infra.jobs.kubernetes.api import KubernetesApi  # noqa: PLC0415
        from suti.infra.jobs.kubernetes.backend import KubernetesJobs  # noqa: PLC0415
        from suti.infra.jobs.kubernetes.template import JobTemplate  # noqa: PLC0415

        template = JobTemplate.read(self.job_template)
        return KubernetesJobs(KubernetesApi.connect(self.kubeconfig), template, store, launcher=launcher)
