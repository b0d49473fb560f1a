"""Tables: rows come back equal, equal rows make equal bytes, and versions are told apart."""

import io
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow.parquet as pq
import pytest

from suti.core.records import CandidateRow, DropRow, PictureRow, Skill, VerdictRow
from suti.infra.tables import RowUnstorable, SchemaTooNew, TableUnreadable, from_parquet, to_parquet

DROPS = [
    DropRow("page", "http://a/", "TOO_FEW_PICTURES", None, "", "http://a/"),
    DropRow("cluster", "c" * 64, "TOO_UNLIKE", 0.1 + 0.2, "mean of 6 pairs: größer", "http://b/"),
]


@dataclass(frozen=True, slots=True)
class AllTypes:
    SCHEMA_VERSION: ClassVar[int] = 3

    text: str
    number: int
    ratio: float
    flag: bool
    raw: bytes
    skill: Skill
    maybe: str | None
    scores: tuple[float, ...]
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Before:
    SCHEMA_VERSION: ClassVar[int] = 1
    id: str
    gone: int


@dataclass(frozen=True, slots=True)
class Now:
    SCHEMA_VERSION: ClassVar[int] = 1
    id: str
    licence: str = "unknown"
    score: float | None = None


@dataclass(frozen=True, slots=True)
class NeedsMore:
    SCHEMA_VERSION: ClassVar[int] = 1
    id: str
    must: int


@dataclass(frozen=True, slots=True)
class Later:
    SCHEMA_VERSION: ClassVar[int] = 2
    id: str


def test_rows_come_back_equal_and_in_order() -> None:
    rows = [
        AllTypes("猫\n", -(2**63), 0.1, True, b"\x00\xff", Skill.STYLE, None, (), None),
        AllTypes("", 2**63 - 1, -0.0, False, b"", Skill.ACCESSORY, "", (1.5, 2.0), ("a", "")),
    ]

    found = from_parquet(to_parquet(rows, AllTypes), AllTypes)

    assert found == rows
    assert [type(row.skill) for row in found] == [Skill, Skill]
    assert type(found[1].scores) is tuple


@pytest.mark.parametrize("row_type", [PictureRow, DropRow, CandidateRow, VerdictRow])
def test_no_rows_are_a_table_too(row_type: Any) -> None:
    assert from_parquet(to_parquet([], row_type), row_type) == []


def test_equal_rows_make_equal_bytes_and_other_rows_do_not() -> None:
    assert to_parquet(DROPS, DropRow) == to_parquet(list(DROPS), DropRow)
    assert to_parquet(DROPS, DropRow) != to_parquet(DROPS[::-1], DropRow)


def test_other_programs_can_read_the_table_and_find_its_version() -> None:
    table: Any = pq.read_table(io.BytesIO(to_parquet(DROPS, DropRow)))

    assert table.column_names == ["kind", "id", "reason", "score", "detail", "page_url"]
    assert table.column("score").to_pylist() == [None, 0.1 + 0.2]
    assert table.schema.metadata == {b"suti.schema_version": b"1", b"suti.row_type": b"DropRow"}


def test_unknown_columns_are_ignored_and_missing_optional_ones_get_their_default() -> None:
    stored = to_parquet([Before("a", 1), Before("b", 2)], Before)

    assert from_parquet(stored, Now) == [Now("a", "unknown", None), Now("b", "unknown", None)]


def test_a_missing_column_that_must_be_there_is_named() -> None:
    with pytest.raises(TableUnreadable, match="lacks the column 'must'"):
        from_parquet(to_parquet([Before("a", 1)], Before), NeedsMore)


def test_a_table_of_a_later_version_is_refused_and_one_of_an_earlier_is_read() -> None:
    with pytest.raises(SchemaTooNew, match="has version 2, this Suti reads up to 1: install a newer Suti"):
        from_parquet(to_parquet([Later("a")], Later), Now)
    assert from_parquet(to_parquet([Now("a")], Now), Later) == [Later("a")]


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"not parquet at all", None])
def test_bytes_that_are_no_whole_table_are_refused(damage: bytes | None) -> None:
    whole = to_parquet(DROPS, DropRow)

    with pytest.raises(TableUnreadable, match="write its shard anew"):
        from_parquet(whole[: len(whole) // 2] if damage is None else damage, DropRow)


def test_a_foreign_parquet_file_is_refused() -> None:
    table: Any = pq.read_table(io.BytesIO(to_parquet(DROPS, DropRow)))
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(None), sink)

    with pytest.raises(TableUnreadable, match="does not say its version"):
        from_parquet(sink.getvalue(), DropRow)


@pytest.mark.parametrize(
    "row",
    [
        Before("\ud800", 1),  # half a surrogate pair, as broken crawls have it
        Before("a", 2**63),
        Before("a", "1"),  # pyright: ignore[reportArgumentType]
        Before(None, 1),  # pyright: ignore[reportArgumentType]
    ],
)
def test_a_value_that_its_column_cannot_hold_is_refused_before_anything_is_stored(row: Before) -> None:
    with pytest.raises(RowUnstorable, match="a Before cannot be stored"):
        to_parquet([row], Before)


def test_a_two_megabyte_text_is_kept_whole() -> None:
    text = "ü" * 1_000_000

    assert from_parquet(to_parquet([Before(text, 1)], Before), Before)[0].id == text


def test_more_rows_than_one_row_group_come_back() -> None:
    rows = [Before(str(number), number) for number in range(70_000)]

    assert from_parquet(to_parquet(rows, Before), Before) == rows


def test_a_column_of_a_type_that_tables_do_not_know_is_a_programming_error() -> None:
    @dataclass(frozen=True)
    class Odd:
        SCHEMA_VERSION: ClassVar[int] = 1
        when: complex

    with pytest.raises(TypeError, match="is no column type"):
        to_parquet([], Odd)
