"""What the service adds to a drawing: `Generate` through gRPC against the same drawing in this process."""

import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image

from bench.measure import Ratio, compare
from bench.models import CAPTIONS, TOY_MODELS, demonstrations, warmstart
from suti.client import Suti
from suti.client.endpoints import Service
from suti.client.inputs import demonstration
from suti.client.requests.generation import generate_request
from suti.core.seeds import derive_seed
from suti.local.folder import DataFolder
from suti.local.machine import Machine
from suti.local.programs import MachineOptions
from suti.ml.diffusion.latents import to_pictures
from suti.ml.diffusion.pixels import picture_to_tensor, tensor_to_picture
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.png import png_of
from suti.ml.subject.drawing import draw_subject_pictures, encode_subject

_PROMPT, _SEED = "a photo of a robot in the snow", 7
_REPEATS = 15  # each of well under a second
_THREADS = 1  # as `suti up` has it; of two processes with more, one would wait for the other's
_RECIPE = SamplingRecipe.model_validate_json((TOY_MODELS / "warmstart" / "sampling.json").read_text(encoding="utf-8"))


def run() -> list[Ratio]:
    """One picture of a subject that both have encoded: a request to a real process on loopback ÷ a call here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(_THREADS)
    try:
        with tempfile.TemporaryDirectory(prefix="suti-bench-") as folder:
            return [_against_a_process(Path(folder))]
    finally:
        torch.set_num_threads(threads)


def _against_a_process(folder: Path) -> Ratio:
    pngs = [png_of(tensor_to_picture(picture_CHW)) for picture_CHW in demonstrations()]
    inside = _drawn_here(pngs)
    with Machine(DataFolder(folder), MachineOptions(services=(Service.GENERATION,), torch_threads=_THREADS)) as machine:
        machine.start()
        with Suti(machine.endpoints()) as client:
            shown = [demonstration(png, caption) for png, caption in zip(pngs, CAPTIONS, strict=True)]
            subject_id = client.register_subject(shown).subject_id

            def through_grpc() -> bytes:
                # Each request has an id of its own, so that none is answered from memory.
                order = generate_request(_PROMPT, subject_id=subject_id, model="warmstart", seed=_SEED)
                return client.generate(order).pictures[0].png

            if through_grpc() != inside():
                raise AssertionError("the service draws another picture")
            return compare(
                "Generate through gRPC / in process, batch 1", through_grpc, inside, repeats=_REPEATS, at_most=1.1
            )


def _drawn_here(pngs: Sequence[bytes]) -> Callable[[], bytes]:
    """The same drawing as a call: from prompt and seed to a PNG file, the subject encoded before."""
    model = warmstart()
    decoded = [picture_to_tensor(Image.open(io.BytesIO(png)), model.base.size_px) for png in pngs]
    context = encode_subject(model, torch.stack(decoded), CAPTIONS)

    def draw() -> bytes:
        drawn_NCHW = draw_subject_pictures(
            model,
            prompts=[_PROMPT],
            seeds=[derive_seed(_SEED, "generation", 0)],
            subject=context,
            recipe=_RECIPE,
        )
        return png_of(tensor_to_picture(to_pictures(model.base, drawn_NCHW)[0]))

    return draw
