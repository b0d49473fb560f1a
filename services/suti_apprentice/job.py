"""A job of the apprentice service: `python -m suti_apprentice.job`, told by its environment what to do."""

import os

from suti.core.errors import BadConfiguration
from suti.infra.jobs.entry import JobContext, run_job
from suti.infra.ledger import Ledger
from suti.stages import apprentice
from suti.stages.launched_work import RUN_ID, SHARD
from suti.stages.model_cache import ModelCache
from suti.stages.run_spec import load_run_spec
from suti_apprentice.settings import ApprenticeSettings


class NothingToDo(BadConfiguration):
    """A job was started without a word of what it is to do."""

    reason = "NOTHING_TO_DO"


def main(job: JobContext) -> None:
    """Do the shard that the environment names."""
    run_id, shard = os.environ.get(RUN_ID), os.environ.get(SHARD, "0")
    if not run_id:
        raise NothingToDo(f"{RUN_ID} is not set: start this through the apprentice service")
    settings = ApprenticeSettings()
    store = settings.open_store()
    job.tell_through(store)
    spec = load_run_spec(store, run_id)
    models = ModelCache(settings.models_path, device=settings.device).of(spec)
    apprentice.run_shard(Ledger(store, run_id), spec, models, int(shard), progress=job.progress, stopping=job.stopping)


if __name__ == "__main__":
    run_job(main, service="suti_apprentice-job")
