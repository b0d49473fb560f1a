"""Between the API's messages and what the stages know."""

from suti.api.clustering.v1 import clustering_pb2 as pb
from suti.api.types.v1.types_pb2 import Drop, Picture
from suti.api.types.v1.types_pb2 import Skill as SkillMessage
from suti.core.records import Skill
from suti.stages.cluster_view import ClusterState, ClusterView
from suti.stages.shard_pictures import ShardPictures


def state_from_proto(state: "pb.ClusterState.ValueType") -> ClusterState | None:
    """The state of an enum value, None for unspecified."""
    return None if not state else ClusterState(pb.ClusterState.Name(state).removeprefix("CLUSTER_STATE_"))


def cluster_to_proto(view: ClusterView, run_id: str, *, pixels: ShardPictures | None = None) -> pb.Cluster:
    """The cluster as it is told, with its pictures as PNG if `pixels` has them."""
    message = pb.Cluster(
        cluster_id=view.cluster_id,
        run_id=run_id,
        shard=view.shard,
        page_url=view.pictures[0].page_url if view.pictures else "",
        state=pb.ClusterState.Value(f"CLUSTER_STATE_{view.state.value}"),
        mean_similarity=view.similarity,
    )
    if view.drop is not None:
        row = view.drop
        message.drop.CopyFrom(
            Drop(kind=row.kind, id=row.id, reason=row.reason, score=row.score, detail=row.detail, page_url=row.page_url)
        )
    for row in view.pictures:
        caption = view.captions.get(row.picture_id)
        message.pictures.append(
            pb.ClusterPicture(
                picture_id=row.picture_id,
                picture_url=row.picture_url,
                alt_text=row.alt_text,
                caption="" if caption is None else caption.caption,
                text="" if caption is None else caption.text,
                width_px=row.width_px,
                height_px=row.height_px,
                licence=row.licence,
                picture=None if pixels is None else Picture(content=pixels.png(row)),
            )
        )
    for prompt in view.prompts:
        skill = SkillMessage.Value(f"SKILL_{Skill(prompt.skill).name}")
        message.prompts.append(pb.ClusterPrompt(prompt_id=prompt.prompt_id, skill=skill, text=prompt.text))
    return message
