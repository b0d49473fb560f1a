"""What the apprentice service is told, and what it tells its jobs."""

from pydantic import AliasChoices, Field
from pydantic_settings import SettingsConfigDict

from suti.infra.jobs import environment as names
from suti.infra.jobs.settings import LauncherSettings
from suti.stages.launched_work import JobPlan


class ApprenticeSettings(LauncherSettings):
    """Read once in `__main__` (and in the job), from the environment (`SUTI_APPRENTICE_...`)."""

    model_config = SettingsConfigDict(env_prefix="SUTI_APPRENTICE_", frozen=True, env_ignore_empty=True)

    models_path: str = Field(
        default="",
        validation_alias=AliasChoices("SUTI_APPRENTICE_MODELS_PATH", "SUTI_MODELS_PATH"),
        description="Folders with models, separated as PATH is.",
    )
    device: str = Field(default="cpu", description="Where jobs train and draw: cpu, cuda, cuda:1 ...")

    def job_plan(self) -> JobPlan:
        """How this service's jobs look. Secrets are never written down: jobs find them where they run."""
        told = {
            "SUTI_APPRENTICE_STORE_URL": self.store_url,
            "SUTI_APPRENTICE_STORE_ENDPOINT": self.store_endpoint or "",
            "SUTI_APPRENTICE_STORE_REGION": self.store_region or "",
            "SUTI_APPRENTICE_STORE_ALLOW_HTTP": "true" if self.store_allow_http else "",
            "SUTI_APPRENTICE_MODELS_PATH": self.models_path,
            "SUTI_APPRENTICE_DEVICE": self.device,
            names.TELEMETRY_FOLDER: str(self.telemetry_folder or ""),
            names.OTLP_ENDPOINT: self.otlp_endpoint or "",
            names.LOG_LEVEL: self.log_level,
        }
        return JobPlan(
            command=(self.job_python, "-m", "suti_apprentice.job"),
            environment={name: value for name, value in told.items() if value},
            attempts=self.job_attempts,
        )
