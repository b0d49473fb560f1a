"""Between the API's messages and what the stages know."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import JsonValue

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.api.types.v1.types_pb2 import ModelRef
from suti.api.types.v1.types_pb2 import Stage as StageMessage
from suti.core.errors import InvalidArgument
from suti.core.records import Stage
from suti.infra.dead_letters import DeadLetter
from suti.infra.tombstones import Tombstone
from suti.stages import run_spec
from suti.stages.crawls import CrawlFormat
from suti.stages.outcome import RunOutcome
from suti.stages.presets import PresetName
from suti.stages.run_orders import ModelChoice, RunOrder
from suti.stages.run_view import RunView, StageView
from suti.stages.shards import RunState

MAX_CREATED_BY = 200
MAX_REASON = 1_000
_FORMATS: "Mapping[pb.CrawlFormat.ValueType, CrawlFormat]" = {
    pb.CRAWL_FORMAT_WARC: "warc",
    pb.CRAWL_FORMAT_IMG2DATASET: "img2dataset",
}
_PRESETS: "Mapping[pb.Preset.ValueType, PresetName]" = {pb.PRESET_PAPER: "paper", pb.PRESET_TOY: "toy"}


def order_from_proto(message: pb.RunOrder, *, created_by: str, default_preset: PresetName) -> RunOrder:
    """The order of a message. Raises InvalidArgument for what no order can be."""
    if not message.input.url:
        raise InvalidArgument("order.input.url", "empty: name the crawl")
    if message.seed >= 2**63:
        raise InvalidArgument("order.seed", f"{message.seed} is too large: give one below 2^63")
    check_length("created_by", created_by, MAX_CREATED_BY)
    roles = {"base": message.models.base, "clip": message.models.clip, "warmstart": message.models.warmstart}
    return RunOrder(
        url=message.input.url,
        format=_FORMATS.get(message.input.format),
        preset=_PRESETS.get(message.preset, default_preset),
        seed=message.seed,
        models={role: ModelChoice(model.name, sha256=model.sha256) for role, model in roles.items() if model.name},
        overrides=dict_from_struct(message.overrides),
        created_by=created_by or "anonymous",
    )


def dict_from_struct(message: Struct) -> dict[str, JsonValue]:
    """A Struct as plain data. Its numbers are floats, and recipes take whole ones for integers."""
    return cast("dict[str, JsonValue]", MessageToDict(message))


def run_to_proto(view: RunView, *, with_spec: bool = True) -> pb.Run:
    """The run as it is told."""
    spec = view.spec
    return pb.Run(
        run_id=spec.run_id,
        state=state_to_proto(view.state),
        create_time=timestamp(spec.created_at),
        created_by=spec.created_by,
        order=_order_to_proto(spec),
        parent_run_id=spec.parent_run_id,
        stages=[_stage_to_proto(stage) for stage in view.stages],
        outcome=None if view.outcome is None else _outcome_to_proto(view.outcome),
        spec_json=spec.model_dump_json() if with_spec else "",
    )


def state_to_proto(state: RunState) -> "pb.RunState.ValueType":
    """The enum value of a state."""
    return pb.RunState.Value(f"RUN_STATE_{state.value}")


def stage_to_proto(stage: Stage | str | None) -> "StageMessage.ValueType":
    """The enum value of a stage; unspecified for none."""
    return StageMessage.Value(f"STAGE_{stage.upper()}") if stage else StageMessage.STAGE_UNSPECIFIED


def stage_from_proto(stage: "StageMessage.ValueType") -> Stage | None:
    """The stage of an enum value, None for unspecified."""
    return None if not stage else Stage(StageMessage.Name(stage).removeprefix("STAGE_").lower())


def letter_to_proto(letter: DeadLetter) -> pb.DeadLetter:
    """The letter as it is told."""
    known = letter.stage in set(Stage)
    return pb.DeadLetter(
        letter_id=letter.letter_id,
        run_id=letter.run_id,
        stage=stage_to_proto(letter.stage if known else None),
        shard=letter.shard,
        subject=letter.subject,
        body=letter.body,
        reason=letter.reason,
        message=letter.message,
        deliveries=letter.deliveries,
        trace_id=letter.trace_id,
        create_time=timestamp(letter.at),
    )


def tombstone_from_proto(message: pb.CreateTombstoneRequest) -> Tombstone:
    """The new tombstone that a message asks for. Raises InvalidArgument."""
    check_length("why", message.why, MAX_REASON)
    check_length("created_by", message.created_by, MAX_CREATED_BY)
    return Tombstone.of(
        urls=message.urls,
        picture_ids=message.picture_ids,
        why=message.why,
        by=message.created_by or "anonymous",
    )


def tombstone_to_proto(tombstone: Tombstone) -> pb.Tombstone:
    """The tombstone as it is told."""
    return pb.Tombstone(
        tombstone_id=tombstone.tombstone_id,
        urls=tombstone.urls,
        picture_ids=tombstone.picture_ids,
        why=tombstone.why,
        created_by=tombstone.created_by,
        create_time=timestamp(tombstone.created_at),
    )


def check_length(field: str, text: str, longest: int) -> None:
    """Raises InvalidArgument for a text that is too long."""
    if len(text) > longest:
        raise InvalidArgument(field, f"{len(text)} characters: give {longest} at most")


def timestamp(at: datetime) -> Timestamp:
    """A point in time as a message."""
    message = Timestamp()
    message.FromDatetime(at.astimezone(UTC))
    return message


def _order_to_proto(spec: run_spec.RunSpec) -> pb.RunOrder:
    overrides = Struct()
    ParseDict(cast("dict[str, Any]", dict(spec.overrides)), overrides)
    warmstart = spec.models.warmstart
    return pb.RunOrder(
        input=pb.CrawlInput(
            url=spec.input.url, format=next(code for code, name in _FORMATS.items() if name == spec.input.format)
        ),
        preset=next((code for code, name in _PRESETS.items() if name == spec.preset), pb.PRESET_UNSPECIFIED),
        seed=spec.seed,
        models=pb.RunModels(
            base=_model_to_proto(spec.models.base),
            clip=_model_to_proto(spec.models.clip),
            warmstart=None if warmstart is None else _model_to_proto(warmstart),
        ),
        overrides=overrides,
    )


def _model_to_proto(model: run_spec.ModelRef) -> ModelRef:
    return ModelRef(name=model.name, sha256=model.sha256)


def _stage_to_proto(view: StageView) -> pb.StageProgress:
    message = pb.StageProgress(
        stage=stage_to_proto(view.stage),
        state=pb.StageState.Value(f"STAGE_STATE_{view.state.value}"),
        shards_total=view.shards_total,
        shards_committed=len(view.survey.done),
        shards_dead=len(view.survey.dead | view.survey.held),
        items_in=view.items_in,
        items_out=view.items_out,
        dropped=dict(view.dropped),
        fraction_open=view.fraction_open,
    )
    message.elapsed.FromTimedelta(view.elapsed)
    return message


def _outcome_to_proto(outcome: RunOutcome) -> pb.RunOutcome:
    return pb.RunOutcome(
        state=state_to_proto(outcome.state),
        stage=stage_to_proto(outcome.stage),
        reason=outcome.reason,
        message=outcome.message,
        end_time=timestamp(outcome.ended_at),
        dataset_digest=outcome.dataset_digest,
        apprentice_sha256=outcome.apprentice_sha256,
    )
