"""The experts service's gRPC API: translate, call, translate."""

from typing import Any

import grpc.aio
from google.longrunning.operations_pb2 import Operation
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from suti.api.experts.v1 import experts_pb2 as pb
from suti.api.experts.v1 import experts_pb2_grpc
from suti.ml.experts.recipe import ExpertRecipe
from suti.stages.loose_recipes import loose_recipe
from suti.stages.presets import PresetName
from suti_experts.tunings import Tunings

_METHODS = {
    "dreambooth": "Every weight of the UNet is tuned, without class word and prior pictures: the paper's way.",
    "lora": "Small adapters are tuned beside the UNet's weights: less memory, megabytes instead of gigabytes to keep.",
}

type Context = grpc.aio.ServicerContext[Any, Any]


class ExpertsServicer(experts_pb2_grpc.ExpertsServiceServicer):
    """Tunes experts on what callers send."""

    def __init__(self, tunings: Tunings, *, preset: PresetName) -> None:
        self._tunings = tunings
        self._preset: PresetName = preset

    async def TuneExpert(self, request: pb.TuneExpertRequest, context: Context) -> Operation:
        """Tune one expert and draw with it, in a job."""
        return await self._tunings.start(request)

    async def ListMethods(self, request: pb.ListMethodsRequest, context: Context) -> pb.ListMethodsResponse:
        """The ways of tuning."""
        methods: list[pb.TuningMethod] = []
        for name, description in sorted(_METHODS.items()):
            recipe = loose_recipe(ExpertRecipe, "experts", preset=self._preset, overrides={"method": name})
            fields = Struct()
            ParseDict(recipe.model_dump(mode="json"), fields)
            methods.append(pb.TuningMethod(name=name, description=description, recipe=fields))
        return pb.ListMethodsResponse(methods=methods)
