"""Who is put to the test by `suti evaluate dreambench`: a folder of drawings, a model in this process, or a server."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from suti.cli.connection import connect
from suti.cli.evaluated_models import load_drawing_model
from suti.cli.generate import SamplerChoice
from suti.infra.store import Store
from suti.local.evaluation_server import ServerDrawer, served_model
from suti.stages.evaluation.drawers import Demonstrations, ModelDrawer
from suti.stages.evaluation.drawings import Drawer, DrawingSource, FolderDrawings, KeptDrawings
from suti.stages.evaluation.plan import System
from suti.stages.generation.order import DrawOrder


@dataclass(frozen=True, kw_only=True)
class Tested:
    """As the command line says it."""

    model: str
    name: str
    drawings: Path | None
    server: str
    data: Path
    steps: int
    guidance: float | None
    sampler: SamplerChoice | None


@dataclass(frozen=True)
class ReadySystem:
    """A system, and how to come by its drawings: kept in a store, from a seed, of subjects shown by demonstrations."""

    system: System
    source: Callable[[Store, int, Demonstrations], DrawingSource]


@contextmanager
def ready(tested: Tested) -> Generator[ReadySystem]:
    """The system, for as long as the block goes on. Raises UnknownModel, NoServer, RemoteError."""
    if tested.drawings is not None:
        folder = tested.drawings
        system = System(name=tested.name or folder.resolve().name, settings="drawn by somebody else")
        yield ReadySystem(system, lambda _store, _seed, _shown: FolderDrawings(folder))
    elif tested.server:
        with _server(tested) as found:
            yield found
    else:
        yield _in_this_process(tested)


def _in_this_process(tested: Tested) -> ReadySystem:
    entry, model = load_drawing_model(tested.model, tested.data)
    order = DrawOrder(prompt="-", steps=tested.steps, guidance=tested.guidance, sampler=tested.sampler)
    sampling = order.recipe(entry.sampling)
    system = System(
        name=tested.name or entry.name,
        sha256=entry.sha256,
        settings=sampling.model_dump_json(),
        sees_subjects=entry.sees_subjects,
    )

    def drawer(shown: Demonstrations) -> Drawer:
        return ModelDrawer(model, sampling=sampling, sees_subjects=entry.sees_subjects, demonstrations=shown)

    return ReadySystem(system, _kept(drawer))


@contextmanager
def _server(tested: Tested) -> Generator[ReadySystem]:
    with connect(tested.server, tested.data) as suti:
        served = served_model(suti, tested.model)
        system = System(
            name=tested.name or served.name,
            sha256=served.sha256,
            settings=f"server; steps={tested.steps}; guidance={tested.guidance}; sampler={tested.sampler}",
            sees_subjects=served.sees_subjects,
        )
        drawers: list[ServerDrawer] = []

        def drawer(shown: Demonstrations) -> Drawer:
            drawers.append(
                ServerDrawer(
                    suti,
                    model=served.name,
                    sha256=served.sha256,
                    steps=tested.steps,
                    guidance=tested.guidance,
                    sampler=tested.sampler or "",
                    demonstrations=shown if served.sees_subjects else None,
                )
            )
            return drawers[-1]

        try:
            yield ReadySystem(system, _kept(drawer))
        finally:
            for one in drawers:
                one.forget_subjects()


def _kept(drawer: Callable[[Demonstrations], Drawer]) -> Callable[[Store, int, Demonstrations], DrawingSource]:
    return lambda store, seed, shown: KeptDrawings(drawer(shown), store, prefix="", seed=seed)
