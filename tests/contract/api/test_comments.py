"""Every message, field, RPC and enum value says what it is: walked over descriptors with their source."""

from collections.abc import Iterator, Sequence

import pytest
from google.protobuf import descriptor_pb2 as d

from scripts.generate_protos import PROTOS, describe

# Numbers of fields in google/protobuf/descriptor.proto: a location's path is made of them.
FILE_MESSAGE, FILE_ENUM, FILE_SERVICE = 4, 5, 6
MESSAGE_FIELD, MESSAGE_NESTED, MESSAGE_ENUM, MESSAGE_ONEOF = 2, 3, 4, 8
ENUM_VALUE = SERVICE_METHOD = 2
SYNTAX = 12

Path_ = tuple[int, ...]


def _enum(enum: d.EnumDescriptorProto, path: Path_) -> Iterator[tuple[str, Path_]]:
    yield enum.name, path
    for index, value in enumerate(enum.value):
        yield f"{enum.name}.{value.name}", (*path, ENUM_VALUE, index)


def _message(message: d.DescriptorProto, path: Path_) -> Iterator[tuple[str, Path_]]:
    yield message.name, path
    for index, field in enumerate(message.field):
        yield f"{message.name}.{field.name}", (*path, MESSAGE_FIELD, index)
    for index, oneof in enumerate(message.oneof_decl):
        if not oneof.name.startswith("_"):  # `optional` makes these
            yield f"{message.name}.{oneof.name}", (*path, MESSAGE_ONEOF, index)
    for index, enum in enumerate(message.enum_type):
        yield from _enum(enum, (*path, MESSAGE_ENUM, index))
    for index, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            yield from _message(nested, (*path, MESSAGE_NESTED, index))


def _elements(file: d.FileDescriptorProto) -> Iterator[tuple[str, Path_]]:
    yield file.name, (SYNTAX,)
    for index, message in enumerate(file.message_type):
        yield from _message(message, (FILE_MESSAGE, index))
    for index, enum in enumerate(file.enum_type):
        yield from _enum(enum, (FILE_ENUM, index))
    for index, service in enumerate(file.service):
        yield service.name, (FILE_SERVICE, index)
        for number, method in enumerate(service.method):
            yield f"{service.name}.{method.name}", (FILE_SERVICE, index, SERVICE_METHOD, number)


@pytest.fixture(scope="module")
def files() -> Sequence[d.FileDescriptorProto]:
    described = [file for file in describe().file if file.name.startswith("suti/")]
    assert len(described) == len(list(PROTOS.rglob("*.proto")))
    return described


def test_every_element_of_the_contract_has_a_comment(files: Sequence[d.FileDescriptorProto]) -> None:
    bare: list[str] = []
    walked = 0
    for file in files:
        comments = {tuple(place.path): place.leading_comments.strip() for place in file.source_code_info.location}
        for name, path in _elements(file):
            walked += 1
            if len(comments.get(path, "")) < 4 or not comments[path].endswith((".", ":", ")")):
                bare.append(f"{file.name}: {name}")
    assert walked > 300
    assert bare == [], "say form, unit, whether required, and what unset means"


def test_everything_that_creates_takes_a_request_id(files: Sequence[d.FileDescriptorProto]) -> None:
    creating = ("Create", "Start", "Register", "Generate", "Tune", "Promote", "Replay")
    for file in files:
        messages = {f".{file.package}.{message.name}": message for message in file.message_type}
        for service in file.service:
            for method in service.method:
                if method.name.startswith(creating):
                    fields = {field.name for field in messages[method.input_type].field}
                    assert "request_id" in fields, f"{service.name}.{method.name}"


def test_enums_begin_with_an_unspecified_zero_and_carry_their_own_name(files: Sequence[d.FileDescriptorProto]) -> None:
    for file in files:
        for enum in file.enum_type:
            names = [value.name for value in enum.value]
            prefix = names[0].removesuffix("UNSPECIFIED")
            assert names[0].endswith("_UNSPECIFIED")
            assert enum.value[0].number == 0
            assert prefix.replace("_", "").lower() == enum.name.lower()
            assert all(name.startswith(prefix) for name in names)
