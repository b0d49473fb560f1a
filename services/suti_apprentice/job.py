"""A job of the apprentice service: `python -m suti_apprentice.job`, told by its environment what to do."""

from suti.infra.jobs.entry import JobContext, run_job
from suti.stages import apprentice
from suti.stages.shard_jobs import run_shard_job
from suti_apprentice.settings import ApprenticeSettings


def main(job: JobContext) -> None:
    """Do the shard that the environment names."""
    settings = ApprenticeSettings()
    store = settings.open_store()
    job.tell_through(store)
    run_shard_job(job, settings, store, apprentice.run_shard)


if __name__ == "__main__":
    run_job(main, service="suti_apprentice-job")
