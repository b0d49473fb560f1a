"""A job of the apprentice service: `python -m suti_apprentice.job`, told by its environment what to do."""

from typing import Any

from suti.core.records import Stage
from suti.infra.jobs.entry import JobContext, run_job
from suti.infra.ledger import Commit
from suti.infra.settings import read_settings
from suti.ml.apprentice.gang import joined
from suti.stages import apprentice
from suti.stages.shard_jobs import run_shard_job
from suti_apprentice.settings import ApprenticeSettings


def main(job: JobContext) -> None:
    """Do the shard that the environment names, alone or as one process of a gang."""
    settings = read_settings(ApprenticeSettings)
    store = settings.open_store()
    job.tell_through(store)

    def train(*what: Any, **how: Any) -> Commit:
        with joined(device=settings.device, sharing=settings.sharing) as gang:
            return apprentice.run_shard(*what, gang=gang, **how)

    run_shard_job(job, settings, store, Stage.APPRENTICE, train)


if __name__ == "__main__":
    run_job(main, service="suti_apprentice-job")
