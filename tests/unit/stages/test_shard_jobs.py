"""What both launchers' settings make of their jobs."""

import pytest

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
