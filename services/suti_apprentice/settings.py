"""What the apprentice service is told, and what it tells its jobs."""

from dataclasses import replace
from typing import Literal

from pydantic import Field, PositiveInt
from pydantic_settings import SettingsConfigDict

from suti.infra.jobs.port import GangSize
from suti.stages.shard_jobs import ShardLauncherSettings
from suti.stages.wave_jobs import JobPlan


class ApprenticeSettings(ShardLauncherSettings):
    """Read once in `__main__` (and in the job), from the environment (`SUTI_APPRENTICE_...`)."""

    model_config = SettingsConfigDict(env_prefix="SUTI_APPRENTICE_", frozen=True, env_ignore_empty=True)

    pods: PositiveInt = Field(default=1, description="Pods that train one apprentice together.")
    processes: PositiveInt = Field(default=1, description="Processes of each pod, with a device each.")
    sharing: Literal["ddp", "fsdp2"] = Field(
        default="ddp", description="Several processes: ddp holds all weights in each, fsdp2 spreads them over all."
    )

    def training_plan(self) -> JobPlan:
        """How trainings' jobs look: one process, or a gang of `pods` x `processes`."""
        plan = self.job_plan("suti_apprentice.job")
        if self.pods * self.processes == 1:
            return plan
        told = {**plan.environment, "SUTI_APPRENTICE_SHARING": self.sharing}
        return replace(plan, environment=told, gang=GangSize(self.pods, self.processes))
