"""The main job, from a crawl in a bucket to pictures of the apprentice, and the same on one machine."""

import json
from pathlib import Path

from tests.cluster.release.installed import Release, within
from tests.cluster.release.runs import OneRun


def test_a_run_through_the_cluster_succeeds(whole_run: OneRun) -> None:
    assert whole_run.run["state"] == "RUN_STATE_SUCCEEDED", whole_run.run["outcome"]
    assert whole_run.digests[0]


def test_experts_and_the_apprentice_were_indexed_jobs(whole_run: OneRun) -> None:
    for component in ("experts-job", "apprentice-job"):
        modes = {job["spec"]["completionMode"] for job in whole_run.jobs_of(component)}
        assert modes == {"Indexed"}, component


def test_jobs_that_did_their_work_stand_as_complete(release: Release, whole_run: OneRun) -> None:
    """The run is over with its last commit, a moment before the pod that made it ends."""

    def ends() -> dict[str, set[str]]:
        jobs = [job for job in release.kube.get("jobs") if job["metadata"]["name"] in whole_run.jobs]
        told = {job["metadata"]["name"]: job["status"].get("conditions") or () for job in jobs}
        return {name: {one["type"] for one in found if one["status"] == "True"} for name, found in told.items()}

    within(60, "their jobs have ended", lambda: all(found & {"Complete", "Failed"} for found in ends().values()))
    launched = [*whole_run.jobs_of("experts-job"), *whole_run.jobs_of("apprentice-job")]
    names = {job["metadata"]["name"] for job in launched}
    failed = {name for name, found in ends().items() if name in names and "Failed" in found}

    assert failed == set()


def test_the_data_set_and_the_apprentice_are_those_of_one_machine(
    whole_run: OneRun, one_machine: tuple[str, str]
) -> None:
    assert whole_run.digests == one_machine


def test_every_item_is_accounted_for_in_a_report_that_is_downloaded(
    release: Release, whole_run: OneRun, tmp_path: Path
) -> None:
    report = tmp_path / "audit.json"
    report.write_text(release.suti("pipeline", "run", "audit", whole_run.run_id, "--json"))
    told = json.loads(report.read_text())

    assert told["sound"]
    assert told["complete"]
    assert "sound: everything is accounted for" in release.suti("pipeline", "run", "audit", whole_run.run_id)


def test_the_apprentice_draws_through_its_service_from_another_pod(
    release: Release, whole_run: OneRun, demonstrations: list[str]
) -> None:
    subject = release.suti("generation", "subject", "add", *demonstrations, "--caption", "a red disc").strip()
    told = release.suti(
        "generation", "generate", "a red disc on a beach", "--subject", subject,
        "--model", f"runs/{whole_run.run_id}", "--steps", "4", "--out", "/tmp/out",  # noqa: S108 - the pod's own
    )  # fmt: skip
    drawn = release.read_in_client(told.split()[0])

    assert drawn.startswith(b"\x89PNG")
    assert f"by runs/{whole_run.run_id}" in told
