"""Trainings as the store tells of them, with jobs that are real processes and train nothing."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from suti.core import keys
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.dead_letters import DeadLetter, DeadLetters, letter_id
from suti.infra.jobs.local import LocalJobs
from suti.infra.store import Store
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.stages.run_spec import CrawlInput, ModelRef, Models, RunSpec
from suti_apprentice.convert import status_to_proto
from suti_apprentice.trainings import ExamplesNotReady, State, TrainingGivenUp, Trainings
from tests.servers.nats import bus, nats_server

__all__ = ["bus", "nats_server"]

RUN = "01JD0000000000000000000000"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECIPE = ApprenticeRecipe(steps=100, batch_subjects=4, targets_per_subject=3)


@pytest.fixture
async def trainings(store: Store, bus: Bus, tmp_path: Path) -> AsyncGenerator[Trainings]:
    model = ModelRef(name="none")
    spec = RunSpec(
        run_id=RUN,
        created_at=NOW,
        created_by="test",
        input=CrawlInput(url="file:///none", format="warc"),
        models=Models(base=model, clip=model),
        apprentice=RECIPE,
    )
    store.put(keys.run_spec(RUN), spec.model_dump_json().encode())
    jobs = LocalJobs(tmp_path / "jobs", slots=1)
    yield Trainings(store, bus, jobs)
    await jobs.close()


async def test_a_training_that_was_given_up_is_not_started_beside_its_dead_letter(
    trainings: Trainings, store: Store, bus: Bus
) -> None:
    told = letter_id(subject="suti.v1.apprentice.shard.x", sent_at=NOW, sequence=1)
    letter = DeadLetter(
        letter_id=told,
        subject="suti.v1.apprentice.shard.x",
        body=b"{}",
        reason="JOB_BROKE",
        message="it crashed",
        run_id=RUN,
        stage=Stage.APPRENTICE,
        shard=0,
        deliveries=3,
        trace_id="",
        at=NOW,
    )
    DeadLetters(store).record(letter)

    with pytest.raises(TrainingGivenUp, match=f"it crashed.*suti dead replay {told}"):
        await trainings.start(RUN)

    assert await bus.queue_depth(Stage.APPRENTICE) == 0
    DeadLetters(store).drop(told)
    with pytest.raises(ExamplesNotReady):  # what is in its way now is something else
        await trainings.start(RUN)


async def test_the_speed_of_a_training_is_in_targets_as_many_as_its_recipe_has_in_a_step(trainings: Trainings) -> None:
    found = await trainings.status(RUN)
    before, now = (replace(found, state=State.RUNNING, step=step, at_s=at_s) for step, at_s in ((10, 0.0), (20, 5.0)))

    told = status_to_proto(now, before)

    assert told.targets_per_second == pytest.approx(2 * 4 * 3)  # 2 steps a second of 4 subjects with 3 targets each
    assert told.time_left.ToSeconds() == 40
