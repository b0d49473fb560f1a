"""What stands for a request once it is drawn: the answer, the pictures too large for it, where they come from."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from PIL import Image

from suti.api.generation.v1 import generation_pb2 as pb
from suti.api.types.v1 import types_pb2 as types
from suti.core import keys
from suti.core.limits import INLINE_BYTES
from suti.infra.requests import RequestLedger, body_sha256
from suti.infra.store import Store
from suti.ml.png import png_of
from suti.stages.generation.entries import ModelEntry
from suti.stages.generation.studio import Drawn
from suti.stages.sent_pictures import StoreKeyRefused

RECORD = "record.json"

_NAMED = (keys.DRAWN, keys.OPERATIONS)  # where answers name pictures by their keys


@dataclass(frozen=True)
class Answers:
    """The answers that were given, by request id. Blocking: for threads."""

    store: Store
    requests: RequestLedger

    def find(self, request: pb.GenerateRequest) -> pb.GenerateResponse | None:
        """The answer that stands. Raises RequestIdReused, InvalidArgument (no UUID)."""
        found = self.requests.find(request.request_id, body_sha256=body_sha256(request))
        return None if found is None else _again(found)

    def keep(self, request: pb.GenerateRequest, seed: int, drawn: Drawn, *, total_s: float) -> pb.GenerateResponse:
        """The answer that stands from now on: this one, unless the same request was answered meanwhile."""
        pngs = [png_of(picture) for picture in drawn.painted.pictures]
        inline = sum(map(len, pngs)) <= INLINE_BYTES
        pictures: list[types.DrawnPicture] = []
        for index, (picture, png, picture_seed) in enumerate(
            zip(drawn.painted.pictures, pngs, drawn.seeds, strict=True)
        ):
            key = keys.drawn(request.request_id, f"{index:02d}-{hashlib.sha256(png).hexdigest()[:16]}.png")
            if not inline:
                self.store.put(key, png)
            pictures.append(_picture(picture, picture_seed, png=png if inline else b"", key="" if inline else key))
        painted = drawn.painted
        answer = pb.GenerateResponse(
            pictures=pictures,
            seed=seed,
            model=_reference(drawn.model) if drawn.model else None,
            enlarged_with=[_reference(model) for model in drawn.enlarged_with],
            timings=pb.GenerateTimings(
                queued=_duration(painted.queued_s),
                encoding=_duration(painted.encode_s),
                drawing=_duration(painted.draw_s),
                enlarging=_duration(painted.enlarge_s),
                total=_duration(total_s),
            ),
            provenance_id=request.request_id,
        )
        packed = answer.SerializeToString(deterministic=True)
        standing = self.requests.record(request.request_id, body_sha256(request), packed)
        if standing != packed:
            return _again(standing)
        self.store.put(keys.drawn(request.request_id, RECORD), _record(request, answer, drawn))
        return answer


def read_picture(store: Store, key: str) -> bytes:
    """The PNG file of a picture that an answer named by its key. Raises StoreKeyRefused, ObjectMissing, BadKey."""
    if not (key.startswith(_NAMED) and key.endswith(".png")):
        raise StoreKeyRefused("store_key", f"{key[:64]!r} is no drawn picture: give one that an answer named")
    return store.get(key)


def _again(packed: bytes) -> pb.GenerateResponse:
    answer = pb.GenerateResponse.FromString(packed)
    answer.replayed = True
    return answer


def _picture(picture: Image.Image, seed: int, *, png: bytes, key: str) -> types.DrawnPicture:
    return types.DrawnPicture(
        png=png,
        store_key=key,
        seed=seed,
        width_px=picture.width,
        height_px=picture.height,
        pixels_sha256=hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest(),
    )


def _reference(model: ModelEntry) -> types.ModelRef:
    return types.ModelRef(name=model.name, sha256=model.sha256)


def _record(request: pb.GenerateRequest, answer: pb.GenerateResponse, drawn: Drawn) -> bytes:
    """Where the pictures come from, for who asks by provenance id."""
    record = {
        "request_id": request.request_id,
        "prompt": request.prompt,
        "model": drawn.model.name if drawn.model else "",
        "model_sha256": drawn.model.sha256 if drawn.model else "",
        "run_id": drawn.model.run_id if drawn.model else "",
        "given_sha256": list(drawn.given_sha256),
        "enlarged_with": [{"model": model.name, "model_sha256": model.sha256} for model in drawn.enlarged_with],
        "subject_id": request.subject_id,
        "subject_digest": drawn.subject_digest,
        "seed": answer.seed,
        "pixels_sha256": [picture.pixels_sha256 for picture in answer.pictures],
        "created_by": request.created_by or "anonymous",
        "created_at": datetime.now(UTC).isoformat(),
    }
    return json.dumps(record, sort_keys=True, indent=1).encode()


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
