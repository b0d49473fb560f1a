"""A promoted model that is broken ends nothing: health names it, the reason is told, all other models are served."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from suti.client.blocking import Suti
from suti.client.errors import RemoteError
from suti.client.requests.generation import generate_request
from suti.core.records import Stage
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.stages.apprentice import MODEL as MODEL_PARTS
from suti.stages.checkpoints import Checkpoints
from tests.servers.nats import NatsServer, nats_server
from tests.stored_runs import begun_run
from tests.system.generation_stack import GenerationProcess, demonstrations, save_models
from tests.waiting import becomes

__all__ = ["nats_server"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def generation(tmp_path: Path, nats_server: NatsServer) -> Generator[GenerationProcess]:
    save_models(tmp_path / "models")
    process = GenerationProcess(tmp_path, nats_server)
    try:
        yield process
    finally:
        if process.process is not None:
            process.kill()


def train(store: Store, folder: Path, *, broken: str = "") -> str:
    """A run whose apprentice is the model of that folder; one of its parts may be damaged afterwards."""
    run_id = begun_run(store)
    draft = Ledger(store, run_id).draft(Stage.APPRENTICE, 0)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            part = draft.write(f"{MODEL_PARTS}{path.relative_to(folder).as_posix()}", path.read_bytes())
            if broken and path.name == broken:
                store.put(part.key, bytes(part.size_bytes))  # as long as it was
    draft.commit(counts={"items_in": 1}, seconds=0.0)
    return run_id


def promote(store: Store, run_id: str) -> None:
    (one,) = Checkpoints(store).list(run_id=run_id)
    Checkpoints(store).promote(one.checkpoint_id, by="test")


def health(generation: GenerationProcess, name: str) -> str:
    with grpc.insecure_channel(generation.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
        except grpc.RpcError:
            return "UNKNOWN"
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def draw(suti: Suti, model: str = "") -> str:
    return suti.generate(generate_request("a mug at sea", demonstrations=demonstrations(), model=model)).model.name


async def test_a_service_starts_beside_a_broken_promoted_model_and_says_so(generation: GenerationProcess) -> None:
    run_id = train(
        generation.store, generation.folder / "models" / "warmstart", broken="diffusion_pytorch_model.safetensors"
    )
    promote(generation.store, run_id)

    generation.start()
    await becomes(lambda: health(generation, f"model/runs/{run_id}") == "NOT_SERVING")

    assert health(generation, "") == "SERVING"
    assert health(generation, "model") == "SERVING"  # warmstart can be drawn with
    assert f"the promoted model runs/{run_id} is not loaded: PART_CORRUPT" in generation.log()
    with generation.client() as suti:
        with pytest.raises(RemoteError) as refused:
            draw(suti)
        assert refused.value.reason == "PART_CORRUPT"
        assert draw(suti, "warmstart") == "warmstart"


async def test_where_the_broken_model_is_all_there_is_health_says_that_nothing_can_be_drawn(
    generation: GenerationProcess,
) -> None:
    run_id = train(generation.store, generation.folder / "models" / "warmstart", broken="model_index.json")
    promote(generation.store, run_id)
    (generation.folder / "none").mkdir()

    generation.start(models_path=str(generation.folder / "none"))
    await becomes(lambda: health(generation, f"model/runs/{run_id}") == "NOT_SERVING")

    assert health(generation, "") == "SERVING"
    assert health(generation, "model") == "NOT_SERVING"


async def test_a_promotion_is_loaded_ahead_and_a_broken_one_after_it_is_named(generation: GenerationProcess) -> None:
    generation.start(promoted_look_s="0.2")
    await becomes(lambda: health(generation, "model") == "SERVING")
    good = train(generation.store, generation.folder / "models" / "warmstart")
    promote(generation.store, good)
    await becomes(lambda: health(generation, f"model/runs/{good}") == "SERVING")
    with generation.client() as suti:
        assert draw(suti) == f"runs/{good}"

        bad = train(generation.store, generation.folder / "models" / "warmstart", broken="config.json")
        promote(generation.store, bad)
        await becomes(lambda: health(generation, f"model/runs/{bad}") == "NOT_SERVING")

        assert draw(suti, f"runs/{good}") == f"runs/{good}"
        with pytest.raises(RemoteError) as refused:
            draw(suti)
    assert refused.value.reason == "PART_CORRUPT"
    assert generation.stop() == 0
