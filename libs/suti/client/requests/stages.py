"""Calls to the services that do a run's stages, for those who want one thing without a run."""

from collections.abc import Mapping, Sequence

from google.longrunning.operations_pb2 import Operation

from suti.api.captioning.v1 import captioning_pb2 as captioning
from suti.api.clustering.v1 import clustering_pb2 as clustering
from suti.api.experts.v1 import experts_pb2 as experts
from suti.api.filtering.v1 import filtering_pb2 as filtering
from suti.api.types.v1.types_pb2 import Demonstration
from suti.client.calls import Long, Pages, Unary
from suti.client.endpoints import Service
from suti.client.inputs import PictureSource, SkillName, checked_seed, model_ref, overrides, picture, skills
from suti.core.ids import new_request_id


def start_grouping(run_id: str, *, request_id: str = "") -> Long[clustering.GroupingResult]:
    """Group a run's crawl into shards of raw clusters."""
    request = clustering.StartGroupingRequest(request_id=request_id or new_request_id(), run_id=run_id)
    start = Unary(service=Service.CLUSTERING, method="StartGrouping", request=request, answer=Operation)
    return Long(start=start, result=clustering.GroupingResult)


def list_clusters(
    run_id: str,
    *,
    state: "clustering.ClusterState.ValueType" = clustering.ClusterState.CLUSTER_STATE_UNSPECIFIED,
    shard: int | None = None,
    page_size: int = 0,
) -> Pages[clustering.ListClustersResponse, clustering.Cluster]:
    """Clusters of a run without their pictures; pages are fetched as they are needed."""
    request = clustering.ListClustersRequest(run_id=run_id, state=state, shard=shard, page_size=page_size)
    first = Unary(
        service=Service.CLUSTERING, method="ListClusters", request=request, answer=clustering.ListClustersResponse
    )
    return Pages(first=first, items=lambda page: page.clusters)


def get_cluster(run_id: str, cluster_id: str, *, with_pixels: bool = False) -> Unary[clustering.Cluster]:
    """One cluster; with its pictures if asked."""
    request = clustering.GetClusterRequest(run_id=run_id, cluster_id=cluster_id, with_pixels=with_pixels)
    return Unary(service=Service.CLUSTERING, method="GetCluster", request=request, answer=clustering.Cluster)


def caption_pictures(
    pictures: Sequence[tuple[PictureSource, str]], *, changes: Mapping[str, object] | None = None
) -> Unary[captioning.CaptionPicturesResponse]:
    """Say what pictures show; each comes with its alternative text, which may be empty."""
    request = captioning.CaptionPicturesRequest(
        pictures=[
            captioning.CaptionPictureInput(picture=picture(source), alt_text=alt_text) for source, alt_text in pictures
        ],
        overrides=overrides(changes),
    )
    return Unary(
        service=Service.CAPTIONING,
        method="CaptionPictures",
        request=request,
        answer=captioning.CaptionPicturesResponse,
        computes=True,
    )


def propose_prompts(
    texts: Sequence[str],
    *,
    count: int = 1,
    wanted: Sequence[SkillName] = (),
    seed: int = 0,
    changes: Mapping[str, object] | None = None,
) -> Unary[captioning.ProposePromptsResponse]:
    """Propose target prompts for the subject that these texts describe, in the `wanted` skills or in all four."""
    request = captioning.ProposePromptsRequest(
        texts=texts, count=count, skills=skills(wanted), seed=checked_seed(seed), overrides=overrides(changes)
    )
    return Unary(
        service=Service.CAPTIONING,
        method="ProposePrompts",
        request=request,
        answer=captioning.ProposePromptsResponse,
        computes=True,
    )


def tune_expert(
    demonstrations: Sequence[Demonstration],
    prompts: Sequence[str],
    *,
    method: str = "",
    base: str = "",
    seed: int = 0,
    changes: Mapping[str, object] | None = None,
    created_by: str = "",
    request_id: str = "",
) -> Long[experts.TuneExpertResult]:
    """Tune an expert on the demonstrations and draw the prompts with it."""
    request = experts.TuneExpertRequest(
        request_id=request_id or new_request_id(),
        demonstrations=demonstrations,
        prompts=prompts,
        method=method,
        base=model_ref(base),
        seed=checked_seed(seed),
        overrides=overrides(changes),
        created_by=created_by,
    )
    start = Unary(service=Service.EXPERTS, method="TuneExpert", request=request, answer=Operation)
    return Long(start=start, result=experts.TuneExpertResult)


def list_methods() -> Unary[experts.ListMethodsResponse]:
    """The ways of tuning, with their recipes."""
    return Unary(
        service=Service.EXPERTS,
        method="ListMethods",
        request=experts.ListMethodsRequest(),
        answer=experts.ListMethodsResponse,
    )


def score_candidates(
    demonstrations: Sequence[Demonstration],
    candidates: Sequence[tuple[PictureSource, str]],
    *,
    clip: str = "",
    changes: Mapping[str, object] | None = None,
) -> Unary[filtering.ScoreCandidatesResponse]:
    """Judge drawn pictures, each with the prompt it was drawn for."""
    request = filtering.ScoreCandidatesRequest(
        demonstrations=demonstrations,
        candidates=[filtering.CandidateInput(picture=picture(source), prompt=prompt) for source, prompt in candidates],
        clip=model_ref(clip),
        overrides=overrides(changes),
    )
    return Unary(
        service=Service.FILTERING,
        method="ScoreCandidates",
        request=request,
        answer=filtering.ScoreCandidatesResponse,
        computes=True,
    )
