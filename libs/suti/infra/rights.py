"""What each service may do in the store and on the bus: the least it needs. docs/security.md shows the same as tables.

The chart gives the embedded servers these rights, and a test compares; for servers of their own, operators do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from suti.core import keys
from suti.infra.bus.connection import EVENT_SUBJECT, WORK_STREAM, WORK_SUBJECTS, durable_name

_EVERY_RUN = f"{keys.RUNS}*/"
_FOR_ALL = (keys.RUNS, keys.TOMBSTONES)
# Pictures that calls name by their key instead of sending them.
_NAMED = (keys.SUBJECTS, keys.DRAWN, keys.OPERATIONS)
_CRAWLS = "crawls/"  # where crawls may lie in Suti's own bucket; others are read with credentials of their own


@dataclass(frozen=True, slots=True)
class StoreRights:
    """Prefixes of keys, `*` for anything in between. What may be written may be read and deleted as well."""

    writes: tuple[str, ...]
    reads: tuple[str, ...] = _FOR_ALL
    deletes: tuple[str, ...] = ()  # what others wrote, and this service sweeps


@dataclass(frozen=True, slots=True)
class BusRights:
    """Subjects. Everybody also subscribes to the inbox of its own, `_INBOX_<user>.>`."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...] = (f"{EVENT_SUBJECT}.>",)


def _stage(name: str) -> str:
    return f"{_EVERY_RUN}{name}/"


STORE: Final[Mapping[str, StoreRights]] = {
    "pipeline": StoreRights(
        writes=(
            f"{_EVERY_RUN}run.json",
            f"{_EVERY_RUN}cancelled.json",
            f"{_EVERY_RUN}outcome.json",
            f"{_EVERY_RUN}dead.json",
            keys.DEAD_LETTERS,
            keys.TOMBSTONES,
            f"{keys.PIPELINE_OPERATIONS}*",  # evaluations: accepted here, done by generation
            f"{keys.REQUESTS}pipeline/",
        ),
        reads=(*_FOR_ALL, keys.MODELS, keys.DRAWN, _CRAWLS),
        deletes=(f"{_EVERY_RUN}*/parts/", f"{_EVERY_RUN}*/scratch/", keys.DRAWN, keys.REQUESTS, keys.OPERATIONS),
    ),
    "clustering": StoreRights(
        writes=(_stage("grouping"), keys.DEAD_LETTERS, f"{keys.REQUESTS}clustering/"), reads=(*_FOR_ALL, _CRAWLS)
    ),
    "selection": StoreRights(writes=(_stage("selection"), keys.DEAD_LETTERS, f"{keys.REQUESTS}clustering/")),
    "captioning": StoreRights(writes=(_stage("captioning"), keys.DEAD_LETTERS), reads=(*_FOR_ALL, *_NAMED)),
    "experts": StoreRights(
        writes=(
            _stage("experts"),
            keys.DEAD_LETTERS,
            keys.OPERATIONS,
            keys.TUNED,
            f"{keys.REQUESTS}experts/",
            keys.job_progress("suti-experts", "")[:-1],
        ),
        reads=(*_FOR_ALL, *_NAMED),
    ),
    "filtering": StoreRights(writes=(_stage("filtering"), keys.DEAD_LETTERS), reads=(*_FOR_ALL, *_NAMED)),
    "apprentice": StoreRights(
        writes=(
            _stage("apprentice"),
            keys.DEAD_LETTERS,
            keys.MODELS,
            f"{keys.REQUESTS}apprentice/",
            keys.job_progress("suti-apprentice", "")[:-1],
        )
    ),
    "generation": StoreRights(
        writes=(
            keys.SUBJECTS,
            keys.DRAWN,
            keys.OPERATIONS,
            keys.DEAD_LETTERS,
            *(f"{keys.REQUESTS}{name}/" for name in ("generation", "subjects", "batches")),
        ),
        reads=(*_FOR_ALL, keys.MODELS),
    ),
    "probe": StoreRights(writes=("probe/",), reads=()),  # the chart's tests
    "crawls": StoreRights(writes=(_CRAWLS,), reads=()),  # people who upload them
}

_API = "$JS.API"
_INFO = f"{_API}.STREAM.INFO.{WORK_STREAM}"
_MAKE = (f"{_API}.STREAM.CREATE.{WORK_STREAM}", _INFO, f"{_API}.STREAM.UPDATE.{WORK_STREAM}")
_PURGE = f"{_API}.STREAM.PURGE.{WORK_STREAM}"


def _worker(stage: str, *more: str) -> BusRights:
    durable = durable_name(stage)
    return BusRights(
        publish=(
            _INFO,
            f"{EVENT_SUBJECT}.>",
            f"suti.v1.{stage}.shard.>",
            f"$JS.ACK.{WORK_STREAM}.{durable}.>",
            f"{_API}.CONSUMER.CREATE.{WORK_STREAM}.{durable}.suti.v1.{stage}.shard.>",
            f"{_API}.CONSUMER.INFO.{WORK_STREAM}.{durable}",
            f"{_API}.CONSUMER.MSG.NEXT.{WORK_STREAM}.{durable}",
            *more,
        )
    )


BUS: Final[Mapping[str, BusRights]] = {
    "pipeline": BusRights(
        publish=(*_MAKE, _PURGE, f"{_API}.CONSUMER.INFO.{WORK_STREAM}.*", WORK_SUBJECTS, f"{EVENT_SUBJECT}.>")
    ),
    "clustering": _worker("grouping"),
    "selection": _worker("selection"),
    "captioning": _worker("captioning"),
    "experts": _worker("experts"),
    "filtering": _worker("filtering"),
    "apprentice": _worker("apprentice"),
    "generation": _worker("generation", _PURGE),  # withdraws a cancelled batch; the body names its subjects alone
    "bootstrap": BusRights(publish=_MAKE, subscribe=()),
    "probe": BusRights(publish=(f"{EVENT_SUBJECT}.probe",), subscribe=(f"{EVENT_SUBJECT}.probe",)),
}


def store_policy(rights: StoreRights, *, bucket: str, prefix: str = "") -> dict[str, Any]:
    """The same as a policy in the language of S3, for a store at `s3://bucket/prefix`."""
    folder = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    arn = f"arn:aws:s3:::{bucket}"

    def objects(*prefixes: str) -> list[str]:
        return [f"{arn}/{folder}{place}{'*' if place.endswith('/') else ''}" for place in prefixes]

    every = (*rights.reads, *rights.writes, *rights.deletes)
    listed = sorted({f"{folder}{place.partition('*')[0]}" for place in every})
    statements: list[dict[str, Any]] = [
        _allow(["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], objects(*rights.writes)),
        _allow(["s3:GetObject"], objects(*rights.reads, *rights.writes)),
        _allow(["s3:GetBucketLocation"], [arn]),
        _allow(["s3:ListBucket"], [arn])
        | {"Condition": {"StringLike": {"s3:prefix": [f"{place}*" for place in listed]}}},
    ]
    if rights.deletes:
        statements.append(_allow(["s3:DeleteObject"], objects(*rights.deletes)))
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}
