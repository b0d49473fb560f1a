"""What both launchers' settings make of their jobs."""

import pytest

from suti.stages.shard_jobs import NoParallelism
from suti_apprentice.settings import ApprenticeSettings
from suti_experts.settings import ExpertsSettings


@pytest.mark.parametrize(
    ("settings", "prefix"), [(ExpertsSettings, "SUTI_EXPERTS_"), (ApprenticeSettings, "SUTI_APPRENTICE_")]
)
def test_jobs_have_the_deadline_that_their_launcher_was_told(
    settings: type[ExpertsSettings | ApprenticeSettings], prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings().job_plan("module").job("name", {}).deadline_s is None

    monkeypatch.setenv(f"{prefix}JOB_DEADLINE_S", "3600")

    assert settings().job_plan("module").job("name", {}).deadline_s == 3600.0


def test_a_deadline_on_a_cluster_asks_how_many_pods_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUTI_EXPERTS_JOB_DEADLINE_S", "3600")
    assert ExpertsSettings().gathering().most == 1_000  # here `slots` says it
    monkeypatch.setenv("SUTI_EXPERTS_JOBS_BACKEND", "kubernetes")

    with pytest.raises(NoParallelism, match=r"up to 1000 shards.* set job_parallelism \(the chart's jobs.podsAtOnce\)"):
        ExpertsSettings().gathering()
    monkeypatch.setenv("SUTI_EXPERTS_WAVE_SHARDS", "1")
    assert ExpertsSettings().gathering().together == 1
    monkeypatch.setenv("SUTI_EXPERTS_WAVE_SHARDS", "1000")
    monkeypatch.setenv("SUTI_EXPERTS_JOB_PARALLELISM", "32")

    assert ExpertsSettings().gathering().together == 1_000
    job = ExpertsSettings().job_plan("module").job("name", {}, indexes=range(1_000))
    assert job.deadline_s == 32 * 3600.0  # 1,000 shards, 32 at a time


def test_jobs_of_this_machine_have_time_for_as_many_rounds_as_its_slots_make(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"JOB_DEADLINE_S": "60", "SLOTS": "2", "JOB_PARALLELISM": "8"}.items():
        monkeypatch.setenv(f"SUTI_EXPERTS_{name}", value)

    assert ExpertsSettings().job_plan("module").job("name", {}, indexes=range(8)).deadline_s == 240.0
