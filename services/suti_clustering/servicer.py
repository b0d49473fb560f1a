"""The clustering service's gRPC API: translate, call, translate."""

import asyncio
from typing import Any

import grpc.aio
from google.longrunning.operations_pb2 import Operation

from suti.api.clustering.v1 import clustering_pb2 as pb
from suti.api.clustering.v1 import clustering_pb2_grpc
from suti.infra.requests import RequestLedger, body_sha256
from suti.infra.rpc.paging import page_of
from suti.infra.store import Store
from suti.stages.cluster_view import ClusterReader, ClusterView
from suti_clustering import convert
from suti_clustering.groupings import Groupings

type Context = grpc.aio.ServicerContext[Any, Any]


class ClusteringServicer(clustering_pb2_grpc.ClusteringServiceServicer):
    """Groups crawls and shows clusters."""

    def __init__(self, store: Store, groupings: Groupings) -> None:
        self._store = store
        self._groupings = groupings
        self._requests = RequestLedger(store, "clustering")

    async def StartGrouping(self, request: pb.StartGroupingRequest, context: Context) -> Operation:
        """Group a run's crawl."""
        body = body_sha256(request)
        done = await asyncio.to_thread(self._requests.find, request.request_id, body_sha256=body)
        if done is not None:
            return await self._groupings.get(done.decode())
        operation = await self._groupings.start(request.run_id)
        await asyncio.to_thread(self._requests.record, request.request_id, body, operation.name.encode())
        return operation

    async def ListClusters(self, request: pb.ListClustersRequest, context: Context) -> pb.ListClustersResponse:
        """Clusters of a run, by shard and then by id."""
        found = await asyncio.to_thread(self._clusters, request)
        page = page_of(
            found,
            size=request.page_size,
            token=request.page_token,
            token_of=lambda view: f"{view.shard:06d} {view.cluster_id}",
        )
        return pb.ListClustersResponse(
            clusters=[convert.cluster_to_proto(view, request.run_id) for view in page.items],
            next_page_token=page.next_token,
        )

    async def GetCluster(self, request: pb.GetClusterRequest, context: Context) -> pb.Cluster:
        """One cluster with its pictures."""

        def read() -> pb.Cluster:
            reader = ClusterReader(self._store, request.run_id)
            view = reader.find(request.cluster_id)
            pixels = reader.pictures() if request.with_pixels else None
            return convert.cluster_to_proto(view, request.run_id, pixels=pixels)

        return await asyncio.to_thread(read)

    def _clusters(self, request: pb.ListClustersRequest) -> list[ClusterView]:
        reader, state = ClusterReader(self._store, request.run_id), convert.state_from_proto(request.state)
        shards = [request.shard] if request.HasField("shard") else range(reader.shards())
        views = [view for shard in shards if shard < reader.shards() for view in reader.shard(shard)]
        return [view for view in views if state in (None, view.state)]
