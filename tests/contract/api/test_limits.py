"""What the protos say of sizes is what both sides refuse."""

import re
from pathlib import Path

import pytest

from suti.client.options import Options
from suti.core.limits import INLINE_BYTES, MESSAGE_BYTES, OPERATION_INLINE_BYTES, PICTURE_BYTES, PICTURES_BYTES
from suti.infra.settings import ServiceSettings
from suti.stages.generation.demonstrations import DemonstrationsTooLarge, decode_demonstrations

_ROOT = Path(__file__).parents[3]
_TOGETHER = re.compile(r"[Tt]ogether: at most (\d+) MiB|All together at most (\d+) MiB")
_INLINE = re.compile(r"inline limit of (\d+) MiB")


def test_every_document_states_the_limits_that_are_kept() -> None:
    protos = "\n".join(path.read_text() for path in (_ROOT / "protos").rglob("*.proto"))
    table = (_ROOT / "docs" / "errors.md").read_text()

    stated = [int(one or other) for one, other in _TOGETHER.findall(protos)]
    assert len(stated) >= 6
    assert set(stated) == {PICTURES_BYTES >> 20}
    assert f"inline; at most {PICTURE_BYTES >> 20} MiB" in protos
    assert {int(limit) for limit in _INLINE.findall(protos)} == {OPERATION_INLINE_BYTES >> 20}
    assert f"inline limit: {INLINE_BYTES >> 20} MiB in an answer, {OPERATION_INLINE_BYTES >> 20} MiB in an" in protos
    assert f"over {PICTURES_BYTES >> 20} MiB together" in table


def test_client_and_server_agree_on_the_largest_message() -> None:
    assert Options().max_message_bytes == ServiceSettings().max_message_bytes == MESSAGE_BYTES
    assert MESSAGE_BYTES > PICTURES_BYTES


def test_pictures_that_are_too_large_together_are_refused_unread() -> None:
    with pytest.raises(DemonstrationsTooLarge, match=str(PICTURES_BYTES)):
        decode_demonstrations([(bytes(PICTURE_BYTES), "")] * 2)
