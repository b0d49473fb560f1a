"""A job of the experts service: `python -m suti_experts.job`, told by its environment what to do."""

import os

from suti.core.errors import BadConfiguration
from suti.infra.jobs.entry import JobContext, run_job
from suti.infra.ledger import Ledger
from suti.stages import experts
from suti.stages.launched_work import RUN_ID, SHARD
from suti.stages.model_cache import ModelCache
from suti.stages.run_spec import load_run_spec
from suti_experts.settings import ExpertsSettings
from suti_experts.tuning_job import tune
from suti_experts.tunings import OPERATION_ID


class NothingToDo(BadConfiguration):
    """A job was started without a word of what it is to do."""

    reason = "NOTHING_TO_DO"


def main(job: JobContext) -> None:
    """Do the shard of a run, or the operation, that the environment names."""
    settings = ExpertsSettings()
    store = settings.open_store()
    job.tell_through(store)
    if operation_id := os.environ.get(OPERATION_ID):
        tune(job, settings, store, operation_id)
        return
    run_id, shard = os.environ.get(RUN_ID), os.environ.get(SHARD, "0")
    if not run_id:
        raise NothingToDo(f"neither {RUN_ID} nor {OPERATION_ID} is set: start this through the experts service")
    spec = load_run_spec(store, run_id)
    models = ModelCache(settings.models_path, device=settings.device).of(spec)
    experts.run_shard(Ledger(store, run_id), spec, models, int(shard), progress=job.progress, stopping=job.stopping)


if __name__ == "__main__":
    run_job(main, service="suti_experts-job")
