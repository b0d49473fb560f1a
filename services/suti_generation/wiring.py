"""What the service is made of."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import torch
from google.longrunning import operations_pb2, operations_pb2_grpc

from suti.api.generation.v1 import generation_pb2, generation_pb2_grpc
from suti.infra.bus.connection import Bus
from suti.infra.bus.worker import Worker
from suti.infra.dead_letters import DeadLetters
from suti.infra.rpc.server import MODEL, RpcServer
from suti.stages.generation.contexts import ContextShelf
from suti.stages.generation.painter import Painter
from suti.stages.generation.shelf import ModelShelf
from suti.stages.generation.studio import Studio, load_screen
from suti.stages.generation.subjects import SubjectShelf
from suti.stages.model_catalogue import ModelCatalogue, UnknownModel
from suti_generation.batches import STAGE, Batches
from suti_generation.servicer import Artist, GenerationServicer
from suti_generation.servicer_operations import OperationsServicer
from suti_generation.settings import GenerationSettings
from suti_generation.worker import BatchWorker


@dataclass(frozen=True)
class Generation:
    """The service's parts, connected and not yet started."""

    server: RpcServer
    worker: Worker
    painter: Painter
    batches: Batches
    shelf: ModelShelf

    @classmethod
    def wire(cls, settings: GenerationSettings, bus: Bus) -> Self:
        """The parts as the settings want them. Raises BadConfiguration."""
        torch.set_num_threads(settings.torch_threads)
        store = settings.open_store()
        shelf = ModelShelf(
            store,
            ModelCatalogue.from_path(settings.models_path),
            cache=settings.model_cache,
            keep=settings.keep_models,
            device=settings.device,
            dtype=getattr(torch, settings.dtype),
        )
        subjects = SubjectShelf(store)
        contexts = ContextShelf(store, max_bytes=settings.context_bytes, device=settings.device)
        painter = Painter(
            shelf,
            contexts,
            max_waiting=settings.max_waiting,
            batch_pictures=settings.batch_pictures,
            threads=settings.torch_threads,
        )
        artist = Artist(store, Studio(shelf, subjects, painter, screen=load_screen(settings.screen)))
        batches = Batches(store, bus)
        server = settings.make_server()
        server.add(
            generation_pb2_grpc.add_GenerationServiceServicer_to_server,
            GenerationServicer(
                store,
                artist=artist,
                subjects=subjects,
                contexts=contexts,
                shelf=shelf,
                batches=batches,
                default_deadline_s=settings.default_deadline_s,
            ),
            generation_pb2.DESCRIPTOR.services_by_name["GenerationService"].full_name,
        )
        server.add(
            operations_pb2_grpc.add_OperationsServicer_to_server,
            OperationsServicer(batches),
            operations_pb2.DESCRIPTOR.services_by_name["Operations"].full_name,
        )
        worker = BatchWorker(
            batches, artist, deadline_s=settings.batch_deadline_s, max_deliveries=settings.max_deliveries
        )
        return cls(
            server=server,
            worker=Worker(
                bus,
                stage=STAGE,
                handle=worker.handle,
                dead_letters=DeadLetters(store),
                concurrency=2,
                ack_wait_s=settings.ack_wait_s,
                max_deliveries=settings.max_deliveries,
                backoff_s=settings.backoff_s(),
                drain_s=settings.drain_s,
            ),
            painter=painter,
            batches=batches,
            shelf=shelf,
        )

    async def get_ready(self) -> None:
        """Health says that models can be drawn with: the promoted one is loaded, others load when they are named."""
        await self.server.set_serving(MODEL, serving=False)
        with suppress(UnknownModel):  # none is promoted yet
            await asyncio.to_thread(lambda: self.shelf.load(self.shelf.find("")))
        await self.server.set_serving(MODEL, serving=True)
