"""An evaluation over the network: the pipeline service accepts it, the generation service's workers do it."""

import shutil
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.client.blocking import Suti
from suti.client.endpoints import Endpoints, Service
from suti.client.errors import RemoteError
from suti.core.ids import new_request_id
from suti.infra.tables import from_parquet
from suti.local.evaluation_server import NotServed, ServerDrawer, served_model
from suti.local.folder import packaged_models
from suti.stages.evaluation.plan import EvaluationChanged
from suti.stages.evaluation.rows import REAL, EvaluationRow
from suti.stages.evaluation.subjects import EvaluationSubject
from tests.system.generation_stack import GenerationProcess, demonstrations, picture, save_models
from tests.system.pipeline_stack import PipelineProcess, running_pipeline

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass
class Both:
    """The two services on one store and one bus."""

    pipeline: PipelineProcess
    generation: GenerationProcess

    def client(self) -> Suti:
        return Suti(Endpoints(pipeline=self.pipeline.address, generation=self.generation.address))

    def subjects(self, suti: Suti) -> dict[str, str]:
        """Two registered subjects with three pictures each, and what they are."""
        return {
            suti.register_subject(demonstrations(3, seed)).subject_id: word for seed, word in ((10, "mug"), (20, "cat"))
        }


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Generator[Both]:
    folder = tmp_path_factory.mktemp("evaluations")
    drawing = folder / "generation"
    save_models(drawing / "models")
    for name in ("dino", "clip"):
        shutil.copytree(packaged_models() / name, drawing / "models" / name)
    with running_pipeline(folder) as pipeline:
        generation = GenerationProcess(drawing, pipeline.nats)
        settings = {"store_url": f"file://{folder}/store", "ack_wait_s": "2"}
        generation.start(**settings)
        try:
            yield Both(pipeline, generation)
            assert generation.process is not None
            generation.process.terminate()
            assert generation.process.wait(240) == 0, generation.log()[-3000:]  # it unloads four large libraries
        finally:
            generation.kill()


def test_a_model_is_evaluated_on_registered_subjects_and_says_where_its_rows_lie(both: Both) -> None:
    request_id = new_request_id()
    with both.client() as suti:
        subjects = both.subjects(suti)
        asked: dict[str, Any] = {"prompt_numbers": [0, 20], "samples": 2, "request_id": request_id}
        started = suti.evaluate_model(subjects, model="warmstart", **asked)
        result = started.wait(timeout_s=600)
        again = suti.evaluate_model(subjects, model="warmstart", **asked)

    assert again.name == started.name
    totals = {(one.system, one.metric, one.condition): one for one in result.totals}
    dino = totals["warmstart", "dino", "all"]
    assert (dino.n, dino.missing, dino.subjects) == (8, 0, 2)
    assert dino.low <= dino.mean <= dino.high
    assert totals["real", "dino", "all"].n == 6
    assert result.model.name == "warmstart"
    assert result.protocol_id.startswith("dreambench;")
    store = both.pipeline.store
    rows = from_parquet(store.get(result.rows_key), EvaluationRow)
    assert {row.prompt for row in rows if row.prompt_number != REAL} == {
        "a mug in the jungle", "a red mug", "a cat in the jungle", "a red cat"
    }  # fmt: skip
    subject = next(iter(subjects))
    assert store.exists(f"{result.drawings_prefix}{subject}/20/1.png")


def test_an_evaluation_outlives_the_death_of_whoever_draws(both: Both) -> None:
    with both.client() as suti:
        started = suti.evaluate_model(both.subjects(suti), model="warmstart", prompt_numbers=[0, 1, 2], samples=2)
        give_up = time.monotonic() + 300
        while suti.pending(Service.PIPELINE, started.name, pb.EvaluateModelResult).progress.done < 1:
            assert time.monotonic() < give_up
            time.sleep(0.1)
    both.generation.kill()
    both.generation.start(store_url=f"file://{both.pipeline.folder}/store", ack_wait_s="2")

    with both.client() as suti:
        result = suti.pending(Service.PIPELINE, started.name, pb.EvaluateModelResult).wait(timeout_s=600)

    (dino,) = [one for one in result.totals if (one.system, one.metric, one.condition) == ("warmstart", "dino", "all")]
    assert (dino.n, dino.missing) == (12, 0)


def test_a_server_is_drawn_with_as_any_system_is_and_keeps_no_subject_of_it(both: Both, tmp_path: Path) -> None:
    for index in range(2):
        (tmp_path / f"{index}.png").write_bytes(picture(index))
    subject = EvaluationSubject("mug", "mug", "object", tuple(sorted(tmp_path.iterdir())))
    with both.client() as suti:
        before = {one.subject_id for one in suti.list_subjects()}
        served = served_model(suti, "warmstart")
        drawer, exchanged = (
            ServerDrawer(
                suti, model=served.name, sha256=sha256, steps=2, guidance=None, sampler="ddim",
                demonstrations=lambda one: [(path, "a mug") for path in one.files],
            )
            for sha256 in (served.sha256, "0" * 64)
        )  # fmt: skip
        drawn = dict(drawer.draw(subject, "a red mug", [5, 6]))
        one, other, again = drawn[5], drawn[6], dict(drawer.draw(subject, "a red mug", [5]))[5]
        with pytest.raises(EvaluationChanged, match="warmstart was 000000000000"):
            list(exchanged.draw(subject, "a red mug", [5, 6]))
        for each in (drawer, exchanged):
            each.forget_subjects()
        after = {found.subject_id for found in suti.list_subjects()}
        with pytest.raises(NotServed, match="nothing"):
            served_model(suti, "nothing")

    assert served.sees_subjects
    assert isinstance(one, Image.Image)
    assert isinstance(other, Image.Image)
    assert isinstance(again, Image.Image)
    assert one.size == other.size == again.size
    assert one.tobytes() != other.tobytes()
    assert after == before


def test_a_subject_that_was_deleted_ends_an_evaluation_with_its_reason(both: Both) -> None:
    with both.client() as suti:
        subjects = both.subjects(suti)
        suti.delete_subject(next(iter(subjects)))
        started = suti.evaluate_model(subjects, model="warmstart", prompt_numbers=[0], samples=1)
        with pytest.raises(RemoteError, match="NO_SUBJECT"):
            started.wait(timeout_s=300)


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        ({"prompts": "/etc/passwd"}, "prompts"),
        ({"protocol": "mine"}, "no protocol"),
        ({"prompt_numbers": [25]}, "0 to 24"),
        ({"samples": 99}, "samples"),
        ({"model": ""}, "none is promoted"),
    ],
)
def test_a_wish_that_cannot_be_meant_is_refused_with_the_name_of_its_field(
    both: Both, wish: dict[str, Any], problem: str
) -> None:
    asked: dict[str, Any] = {"model": "warmstart"} | wish
    with both.client() as suti, pytest.raises(RemoteError, match=problem):
        suti.evaluate_model({"01ARZ3NDEKTSV4RRFFQ69G5FAV": "mug"}, **asked)
