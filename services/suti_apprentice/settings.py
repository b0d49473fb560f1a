"""What the apprentice service is told, and what it tells its jobs."""

from pydantic_settings import SettingsConfigDict

from suti.stages.shard_jobs import ShardLauncherSettings


class ApprenticeSettings(ShardLauncherSettings):
    """Read once in `__main__` (and in the job), from the environment (`SUTI_APPRENTICE_...`)."""

    model_config = SettingsConfigDict(env_prefix="SUTI_APPRENTICE_", frozen=True, env_ignore_empty=True)
