"""Rows as Parquet: how the records of `suti.core.records` are stored. Equal rows make equal bytes."""

import dataclasses
import io
import types
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, Protocol, Union, cast, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from suti.core.errors import PermanentError

_VERSION_KEY = b"suti.schema_version"
_ROW_TYPE_KEY = b"suti.row_type"
_ROW_GROUP_ROWS = 64 * 1024
_SCALARS: dict[type, pa.DataType] = {
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
    """A dataclass with a `SCHEMA_VERSION`; its columns are str, int, float, bool, bytes, StrEnum, tuples and `| None`."""

    SCHEMA_VERSION: ClassVar[int]
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


def to_parquet[R: Row](rows: Sequence[R], row_type: type[R]) -> bytes:
    """The rows as one Parquet file, in the order given; the same bytes for equal rows (same pyarrow). Raises RowUnstorable."""
    schema = _schema(row_type)
    columns: list[pa.Array] = []
    for column in schema:
        try:
            columns.append(pa.array([getattr(row, column.name) for row in rows], type=column.type, from_pandas=False))
        except (pa.ArrowException, UnicodeError, OverflowError, TypeError) as error:
            raise RowUnstorable(
                f"column {column.name!r} of {row_type.__name__} cannot hold its values ({error}): correct the row's maker"
            ) from error
    sink = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(columns, schema=schema),
        sink,
        compression="zstd",
        row_group_size=_ROW_GROUP_ROWS,
        store_schema=True,
    )
    return sink.getvalue()


def from_parquet[R: Row](data: bytes, row_type: type[R]) -> list[R]:
    """The rows of a Parquet file in order. Columns it has too many are ignored, optional ones it lacks get their default.

    Raises:
        SchemaTooNew: written by a later version.
        TableUnreadable: not Parquet, cut short, or without a column that must be there.
    """
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TableUnreadable(f"no readable table of {row_type.__name__} ({error}): write its shard anew") from error
    _check_version(table.schema, row_type)

    columns: dict[str, list[Any]] = {}
    for column in _schema(row_type):
        if column.name not in table.column_names:
            columns[column.name] = [_default(row_type, column)] * table.num_rows
            continue
        try:
            values: list[Any] = table.column(column.name).cast(column.type).to_pylist()
        except pa.ArrowException as error:
            raise TableUnreadable(
                f"column {column.name!r} is no {column.type} ({error}): read it with the version that wrote it"
            ) from error
        columns[column.name] = (
            [restore(value) for value in values] if (restore := _restorer(row_type, column)) else values
        )
    return [row_type(**dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]


@cache
def _schema(row_type: type[Row]) -> pa.Schema:
    hints = get_type_hints(row_type)
    columns: list[pa.Field] = []
    for spec in dataclasses.fields(row_type):
        inner, optional = _without_none(hints[spec.name])
        columns.append(pa.field(spec.name, _arrow_type(inner), nullable=optional))
    metadata = {_VERSION_KEY: str(row_type.SCHEMA_VERSION), _ROW_TYPE_KEY: row_type.__name__}
    return pa.schema(columns, metadata=metadata)


def _arrow_type(annotation: Any) -> pa.DataType:
    if get_origin(annotation) is tuple and len(get_args(annotation)) == 2 and get_args(annotation)[1] is ...:
        return pa.list_(pa.field("item", _arrow_type(get_args(annotation)[0]), nullable=False))
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return pa.string()
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    raise TypeError(f"{annotation} is no column type: use str, int, float, bool, bytes, a StrEnum or a tuple of them")


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [arm for arm in get_args(annotation) if arm is not types.NoneType]
        if len(inner) == 1:
            return inner[0], True
    return annotation, False


def _restorer(row_type: type[Row], column: pa.Field) -> Any:
    """What turns a column's plain values back into the annotated type; None where they are that already."""
    annotation, _ = _without_none(get_type_hints(row_type)[column.name])
    if get_origin(annotation) is tuple:
        return lambda value: None if value is None else tuple(value)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return lambda value: None if value is None else annotation(value)
    return None


def _check_version(schema: pa.Schema, row_type: type[Row]) -> None:
    written = (cast("dict[bytes, bytes] | None", schema.metadata) or {}).get(_VERSION_KEY)
    if written is None:
        raise TableUnreadable(f"a table of {row_type.__name__} does not say its version: read only what Suti wrote")
    if int(written) > row_type.SCHEMA_VERSION:
        raise SchemaTooNew(
            f"a table of {row_type.__name__} has version {int(written)}, this Suti reads up to "
            f"{row_type.SCHEMA_VERSION}: install a newer Suti"
        )


def _default(row_type: type[Row], column: pa.Field) -> Any:
    spec = row_type.__dataclass_fields__[column.name]
    if spec.default is not dataclasses.MISSING:
        return spec.default
    if spec.default_factory is not dataclasses.MISSING:
        return spec.default_factory()
    if column.nullable:
        return None
    raise TableUnreadable(f"a table of {row_type.__name__} lacks the column {column.name!r}: write its shard anew")
