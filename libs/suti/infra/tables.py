"""Rows as Parquet: how the records of `suti.core.records` are stored. Equal rows make equal bytes."""

import dataclasses
import io
import types
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, Protocol, Union, cast, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from suti.core.errors import PermanentError

type ArrowType = Any  # pyarrow ships no types

_VERSION_KEY = b"suti.schema_version"
_ROW_TYPE_KEY = b"suti.row_type"
_ROW_GROUP_ROWS = 64 * 1024
_SCALARS: dict[object, ArrowType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
}


class SchemaTooNew(PermanentError):
    """A table was written by a later version of Suti, whose columns mean something else."""

    reason: ClassVar[str] = "SCHEMA_TOO_NEW"


class TableUnreadable(PermanentError):
    """Bytes that should be a table are none, or lack a column that every row must have."""

    reason: ClassVar[str] = "TABLE_UNREADABLE"
    grpc_code = "DATA_LOSS"


class RowUnstorable(PermanentError):
    """A row holds a value that its column cannot: another type, an integer past 64 bits, text that is no Unicode."""

    reason: ClassVar[str] = "ROW_UNSTORABLE"


class Row(Protocol):
    """A dataclass with a `SCHEMA_VERSION`, of str, int, float, bool, bytes, StrEnum, `tuple[one, ...]` and `| None`."""

    SCHEMA_VERSION: ClassVar[int]
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


def to_parquet[R: Row](rows: Sequence[R], row_type: type[R]) -> bytes:
    """The rows as one Parquet file, in the order given; the same bytes for equal rows and the same pyarrow.

    Raises:
        RowUnstorable: a value that its column cannot hold.
    """
    columns = _columns(row_type)
    fields = [pa.field(column.name, column.arrow_type, nullable=column.optional) for column in columns]
    metadata = {_VERSION_KEY: str(row_type.SCHEMA_VERSION), _ROW_TYPE_KEY: row_type.__name__}
    sink = io.BytesIO()
    try:
        arrays = [pa.array([getattr(row, column.name) for row in rows], type=column.arrow_type) for column in columns]
        table = pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=metadata))
        pq.write_table(table, sink, compression="zstd", row_group_size=_ROW_GROUP_ROWS)
    except (pa.ArrowException, UnicodeError, OverflowError, TypeError) as error:
        raise RowUnstorable(f"a {row_type.__name__} cannot be stored ({error}): correct who made the row") from error
    return sink.getvalue()


def from_parquet[R: Row](data: bytes, row_type: type[R]) -> list[R]:
    """The rows of a Parquet file, in order. Unknown columns are ignored, missing optional ones get their default.

    Raises:
        SchemaTooNew: written by a later version.
        TableUnreadable: not Parquet, cut short, or without a column that must be there.
    """
    try:
        table: Any = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TableUnreadable(f"no readable table of {row_type.__name__} ({error}): write its shard anew") from error
    _check_version(table.schema.metadata, row_type)
    columns = _columns(row_type)
    values = [_values(table, column, row_type) for column in columns]
    names = [column.name for column in columns]
    return [row_type(**dict(zip(names, row, strict=True))) for row in zip(*values, strict=True)]


@dataclasses.dataclass(frozen=True)
class _Column:
    name: str
    arrow_type: ArrowType
    optional: bool
    restore: Callable[[Any], Any] | None  # from a plain value to the annotated type, where they differ


@cache
def _columns(row_type: type[Row]) -> tuple[_Column, ...]:
    hints = get_type_hints(row_type)
    columns: list[_Column] = []
    for field in dataclasses.fields(row_type):
        annotation, optional = _without_none(hints[field.name])
        columns.append(_Column(field.name, _arrow_type(annotation), optional, _restorer(annotation)))
    return tuple(columns)


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [arm for arm in get_args(annotation) if arm is not types.NoneType]
        if len(inner) == 1:
            return inner[0], True
    return annotation, False


def _arrow_type(annotation: Any) -> ArrowType:
    if get_origin(annotation) is tuple and get_args(annotation)[1:] == (...,):
        return pa.list_(pa.field("item", _arrow_type(get_args(annotation)[0]), nullable=False))
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return pa.string()
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    raise TypeError(f"{annotation} is no column type: use str, int, float, bool, bytes, a StrEnum or tuple[one, ...]")


def _restorer(annotation: Any) -> Callable[[Any], Any] | None:
    if get_origin(annotation) is tuple:
        return tuple
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return annotation
    return None


def _check_version(metadata: dict[bytes, bytes] | None, row_type: type[Row]) -> None:
    written = (metadata or {}).get(_VERSION_KEY)
    if written is None:
        raise TableUnreadable(f"a table of {row_type.__name__} does not say its version: read only what Suti wrote")
    if int(written) > row_type.SCHEMA_VERSION:
        raise SchemaTooNew(
            f"a table of {row_type.__name__} has version {int(written)}, this Suti reads up to "
            f"{row_type.SCHEMA_VERSION}: install a newer Suti"
        )


def _values(table: Any, column: _Column, row_type: type[Row]) -> list[Any]:
    if column.name not in table.column_names:
        return [_default(column, row_type)] * table.num_rows
    try:
        values = cast("list[Any]", table.column(column.name).cast(column.arrow_type).to_pylist())
        if column.restore is None:
            return values
        return [None if value is None else column.restore(value) for value in values]
    except (pa.ArrowException, ValueError) as error:
        raise TableUnreadable(
            f"column {column.name!r} of {row_type.__name__} does not hold its type ({error}): write its shard anew"
        ) from error


def _default(column: _Column, row_type: type[Row]) -> Any:
    field = row_type.__dataclass_fields__[column.name]
    if field.default is not dataclasses.MISSING:
        return field.default
    if column.optional:
        return None
    raise TableUnreadable(f"a table of {row_type.__name__} lacks the column {column.name!r}: write its shard anew")
