"""A job of the experts service: `python -m suti_experts.job`, told by its environment what to do."""

import os

from suti.core.records import Stage
from suti.infra.jobs.entry import JobContext, run_job
from suti.infra.settings import read_settings
from suti.stages import experts
from suti.stages.shard_jobs import run_shard_job
from suti_experts.settings import ExpertsSettings
from suti_experts.tuning_job import tune
from suti_experts.tunings import OPERATION_ID


def main(job: JobContext) -> None:
    """Do the shard of a run, or the operation, that the environment names."""
    settings = read_settings(ExpertsSettings)
    store = settings.open_store()
    job.tell_through(store)
    if operation_id := os.environ.get(OPERATION_ID):
        tune(job, settings, store, operation_id)
    else:
        run_shard_job(job, settings, store, Stage.EXPERTS, experts.run_shard)


if __name__ == "__main__":
    run_job(main, service="suti_experts-job")
