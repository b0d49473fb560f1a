"""What the experts service is told, and what it tells its jobs."""

from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import SettingsConfigDict

from suti.infra.jobs import environment as names
from suti.infra.jobs.settings import LauncherSettings
from suti.stages.launched_work import JobPlan


class ExpertsSettings(LauncherSettings):
    """Read once in `__main__` (and in the job), from the environment (`SUTI_EXPERTS_...`)."""

    model_config = SettingsConfigDict(env_prefix="SUTI_EXPERTS_", frozen=True, env_ignore_empty=True)

    models_path: str = Field(
        default="",
        validation_alias=AliasChoices("SUTI_EXPERTS_MODELS_PATH", "SUTI_MODELS_PATH"),
        description="Folders with models, separated as PATH is.",
    )
    device: str = Field(default="cpu", description="Where jobs train and draw: cpu, cuda, cuda:1 ...")
    preset: Literal["paper", "toy"] = Field(default="toy", description="Whose recipe calls outside of runs begin with.")
    base: str = Field(default="base", description="The base of calls outside of runs that name none.")

    def job_plan(self) -> JobPlan:
        """How this service's jobs look. Secrets are never written down: jobs find them where they run."""
        told = {
            "SUTI_EXPERTS_STORE_URL": self.store_url,
            "SUTI_EXPERTS_STORE_ENDPOINT": self.store_endpoint or "",
            "SUTI_EXPERTS_STORE_REGION": self.store_region or "",
            "SUTI_EXPERTS_STORE_ALLOW_HTTP": "true" if self.store_allow_http else "",
            "SUTI_EXPERTS_MODELS_PATH": self.models_path,
            "SUTI_EXPERTS_DEVICE": self.device,
            names.TELEMETRY_FOLDER: str(self.telemetry_folder or ""),
            names.OTLP_ENDPOINT: self.otlp_endpoint or "",
            names.LOG_LEVEL: self.log_level,
        }
        return JobPlan(
            command=(self.job_python, "-m", "suti_experts.job"),
            environment={name: value for name, value in told.items() if value},
            attempts=self.job_attempts,
        )
