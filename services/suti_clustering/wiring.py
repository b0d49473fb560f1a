"""What the service is made of."""

import logging

from suti.api.clustering.v1 import clustering_pb2, clustering_pb2_grpc
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.service import Service
from suti.infra.store import Store
from suti.stages.installed_torch import has_torch
from suti.stages.shard_work import ShardWork
from suti_clustering.groupings import Groupings
from suti_clustering.servicer import ClusteringServicer
from suti_clustering.settings import ClusteringSettings
from suti_clustering.worker import grouping_work, selection_work

_log = logging.getLogger(__name__)


def wire(settings: ClusteringSettings, bus: Bus) -> Service:
    """The parts as the settings want them. Raises BadConfiguration."""
    store = settings.open_store()
    server = settings.make_server()
    groupings = Groupings(store, bus)
    server.add(
        clustering_pb2_grpc.add_ClusteringServiceServicer_to_server,
        ClusteringServicer(store, groupings),
        clustering_pb2.DESCRIPTOR.services_by_name["ClusteringService"].full_name,
    )
    server.add_operations(groupings)
    works = _works(settings, bus, store)
    workers = [settings.make_worker(bus, store, stage=stage, handle=work.handle) for stage, work in works.items()]
    return Service(server, workers=workers)


def _works(settings: ClusteringSettings, bus: Bus, store: Store) -> dict[Stage, ShardWork]:
    """The stages that this process works on."""
    works: dict[Stage, ShardWork] = {}
    wanted = settings.stages or ("both" if has_torch() else "grouping")
    if wanted in {"grouping", "both"}:
        works[Stage.GROUPING] = grouping_work(bus, store, settings)
    if wanted in {"selection", "both"}:
        works[Stage.SELECTION] = selection_work(bus, store, settings)
    _log.info("takes tickets of %s", " and ".join(works))
    return works
