"""What is read from a stored object, and what a later version may have added to it."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any


def known_fields(record: type, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that this version's dataclass `record` has; a later version may have written more."""
    names = {field.name for field in fields(record)}
    return {name: value for name, value in stored.items() if name in names}
