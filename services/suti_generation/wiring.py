"""What the service is made of."""

import atexit
import shutil
import tempfile
from pathlib import Path

import torch

from suti.api.generation.v1 import generation_pb2, generation_pb2_grpc
from suti.infra.bus.connection import Bus
from suti.infra.service import Service
from suti.infra.store import Store
from suti.stages.generation.contexts import ContextCache
from suti.stages.generation.painter import Painter
from suti.stages.generation.registry import ModelRegistry
from suti.stages.generation.studio import Studio
from suti.stages.generation.subjects import SubjectRepository
from suti.stages.model_catalogue import ModelCatalogue
from suti.stages.screens import load_screen
from suti_generation.batches import STAGE, Batches
from suti_generation.evaluations import EvaluationWorker
from suti_generation.promoted import PromotedModel
from suti_generation.servicer import Artist, GenerationServicer
from suti_generation.settings import GenerationSettings
from suti_generation.worker import BatchWorker


def wire(settings: GenerationSettings, bus: Bus) -> Service:
    """The parts as the settings want them. Raises BadConfiguration."""
    torch.set_num_threads(settings.torch_threads)
    store = settings.open_store()
    catalogue = ModelCatalogue.from_path(settings.models_path, settings.model_rules())
    registry = _registry(settings, store, catalogue)
    subjects = SubjectRepository(store)
    contexts = ContextCache(store, max_bytes=settings.context_bytes, device=settings.device)
    painter = Painter(
        registry,
        contexts,
        max_waiting=settings.max_waiting,
        batch_pictures=settings.batch_pictures,
        threads=settings.torch_threads,
    )
    studio = Studio(registry, subjects, painter, screen=load_screen(settings.screen))
    artist = Artist(store, studio)
    batches = Batches(store, bus)
    server = settings.make_server()
    server.add(
        generation_pb2_grpc.add_GenerationServiceServicer_to_server,
        GenerationServicer(
            store,
            artist=artist,
            subjects=subjects,
            contexts=contexts,
            registry=registry,
            batches=batches,
            default_deadline_s=settings.default_deadline_s,
        ),
        generation_pb2.DESCRIPTOR.services_by_name["GenerationService"].full_name,
    )
    server.add_operations(batches)
    evaluations = EvaluationWorker(
        store,
        studio,
        registry,
        catalogue,
        rules=settings.model_rules(),
        device=settings.device,
        deadline_s=settings.batch_deadline_s,
    )
    work = BatchWorker(batches, artist, evaluations, deadline_s=settings.batch_deadline_s)

    promoted = PromotedModel(registry, server, every_s=settings.promoted_look_s)
    return Service(
        server,
        workers=[settings.make_worker(bus, store, stage=STAGE, handle=work.handle, concurrency=2)],
        tasks=[batches.keep_going, promoted.run],
        behind=[painter.run],
        get_ready=promoted.look,
    )


def _registry(settings: GenerationSettings, store: Store, catalogue: ModelCatalogue) -> ModelRegistry:
    return ModelRegistry(
        store,
        catalogue,
        cache=settings.model_cache or _own_folder(),
        keep=settings.keep_models,
        device=settings.device,
        dtype=getattr(torch, settings.dtype),
    )


def _own_folder() -> Path:
    """A folder that no other user can name beforehand or write to; removed when the process ends."""
    folder = tempfile.mkdtemp(prefix="suti-models-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
