"""Finished experts, marked in the store one by one, so that a shard that was stopped goes on from there."""

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor

from suti.infra.pictures import PictureTarWriter
from suti.infra.store import ObjectMissing, Store
from suti.ml.diffusion.pixels import tensor_to_picture
from suti.ml.png import png_of

_RECORD = "expert.json"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One drawn picture, not yet in a commit."""

    prompt_id: str
    sample: int
    seed: int
    pixels_sha256: str  # over the raw RGB bytes
    png: bytes


@dataclass(frozen=True)
class FinishedExpert:
    """What came of one cluster: candidates and losses, or the reason why there are none."""

    tuned_on: tuple[str, ...]  # picture ids
    candidates: tuple[Candidate, ...]
    losses: tuple[float, ...]
    tuned_with: tuple[str, ...] = ()  # ids of the clusters, its own among them, that shared its batches
    drop_reason: str = ""
    drop_detail: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])  # kept weights


class ExpertMarks:
    """One shard's finished experts: a small tar for each cluster, kept weights beside it.

    A mark is one object, written last, so it is there whole or not at all. One that cannot be read is made anew.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def find(
        self, cluster_id: str, *, tuned_on: tuple[str, ...], tuned_with: tuple[str, ...] = ()
    ) -> FinishedExpert | None:
        """The cluster's finished expert, without its weights.

        None if there is none that saw just these pictures in just this company: other rows in a batch round otherwise.
        """
        try:
            expert = _from_tar(self._store.get(self._mark(cluster_id)))
        except (ObjectMissing, tarfile.TarError, ValueError, KeyError, TypeError):
            return None
        return expert if (expert.tuned_on, expert.tuned_with) == (tuned_on, tuned_with) else None

    def put(self, cluster_id: str, expert: FinishedExpert) -> None:
        """Mark it, its weights first."""
        for name, data in expert.files.items():
            self._store.put(f"{self._weights()}{cluster_id}/{name}", data)
        self._store.put(self._mark(cluster_id), _to_tar(expert))

    def weights(self, cluster_ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """The kept weights of these clusters as (name of a commit's part, bytes), one in memory at a time."""
        for info in self._store.list(self._weights()):
            name = info.key.removeprefix(self._weights())
            if name.split("/")[0] in cluster_ids:
                yield f"experts/{name}", self._store.get(info.key)

    def clear(self) -> None:
        """Delete everything; after the commit nobody needs it."""
        for info in self._store.list(self._prefix):
            self._store.delete(info.key)

    def _mark(self, cluster_id: str) -> str:
        return f"{self._prefix}{cluster_id}.tar"

    def _weights(self) -> str:
        return f"{self._prefix}weights/"


def candidate_from(picture_CHW: Tensor, *, prompt_id: str, sample: int, seed: int) -> Candidate:
    """A drawn picture as PNG. Shapes: (3, H, W) in [-1, 1]."""
    picture = tensor_to_picture(picture_CHW)
    pixels_sha256 = hashlib.sha256(picture.tobytes()).hexdigest()
    return Candidate(prompt_id, sample=sample, seed=seed, pixels_sha256=pixels_sha256, png=png_of(picture))


def _to_tar(expert: FinishedExpert) -> bytes:
    tar = PictureTarWriter()
    rows: list[dict[str, Any]] = []
    for index, candidate in enumerate(expert.candidates):
        tar.add(f"{index:06d}.png", candidate.png)
        rows.append(
            {
                "prompt_id": candidate.prompt_id,
                "sample": candidate.sample,
                "seed": candidate.seed,
                "pixels_sha256": candidate.pixels_sha256,
                "png_sha256": hashlib.sha256(candidate.png).hexdigest(),
            }
        )
    record = {
        "tuned_on": list(expert.tuned_on),
        "tuned_with": list(expert.tuned_with),
        "candidates": rows,
        "losses": list(expert.losses),
        "drop_reason": expert.drop_reason,
        "drop_detail": expert.drop_detail,
    }
    tar.add(_RECORD, json.dumps(record).encode())
    return tar.finish()


def _from_tar(data: bytes) -> FinishedExpert:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        members = {info.name: cast("Any", tar.extractfile(info)).read() for info in tar.getmembers()}
    record = cast("dict[str, Any]", json.loads(members[_RECORD]))
    candidates: list[Candidate] = []
    for index, row in enumerate(record["candidates"]):
        png = cast("bytes", members[f"{index:06d}.png"])
        if hashlib.sha256(png).hexdigest() != row.pop("png_sha256"):
            raise ValueError("a picture changed in the store")
        candidates.append(Candidate(png=png, **row))
    return FinishedExpert(
        tuned_on=tuple(record["tuned_on"]),
        tuned_with=tuple(record["tuned_with"]),
        candidates=tuple(candidates),
        losses=tuple(float(loss) for loss in record["losses"]),
        drop_reason=str(record["drop_reason"]),
        drop_detail=str(record["drop_detail"]),
    )
