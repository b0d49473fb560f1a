"""What a wave's job is called, and how long it may take."""

from suti.core.ids import new_run_id
from suti.stages.wave_jobs import JobPlan, jobs_of_run, run_of, wave_name


def test_the_same_shards_are_the_same_name_and_others_are_another() -> None:
    run = new_run_id()
    waves = [(0,), (1,), (0, 1), (0, 2), (0, 1, 2)]

    names = [wave_name("experts", run, wave) for wave in waves]

    assert names == [wave_name("experts", run, wave) for wave in waves]
    assert len(set(names)) == len(waves)


def test_the_longest_name_leaves_room_for_its_pods_host_names() -> None:
    name = wave_name("apprentice", new_run_id(), tuple(range(90_000, 100_000)))

    assert JobPlan(command=("true",)).job(name, {}).name == name
    assert len(f"{name}-9999") <= 63


def test_a_jobs_run_is_told_by_its_name_and_that_of_other_jobs_is_not() -> None:
    run = new_run_id()

    assert run_of("experts", wave_name("experts", run, (3, 4))) == run
    assert run_of("experts", f"{jobs_of_run('experts', run)}3") is None  # an earlier version's, of one shard
    assert run_of("experts", f"suti-tune-{run.lower()}") is None


def test_a_job_has_a_shards_time_for_each_round_of_shards() -> None:
    plan = JobPlan(command=("true",), deadline_s=60.0, at_a_time=4)

    assert plan.job("j", {}, indexes=range(10)).deadline_s == 180.0
    assert plan.job("j", {}, indexes=range(10)).parallelism == 4
    assert plan.job("j", {}, indexes=range(3)).deadline_s == 60.0
    assert JobPlan(command=("true",)).job("j", {}).deadline_s is None


def test_where_nobody_says_how_many_run_at_a_time_it_may_be_one() -> None:
    job = JobPlan(command=("true",), deadline_s=60.0).job("j", {}, indexes=range(1_000))

    assert (job.parallelism, job.deadline_s) == (1_000, 60_000.0)
