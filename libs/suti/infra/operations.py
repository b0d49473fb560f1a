"""A service's own operations in the store: a record each, the objects that belong to it, and a mark once it ended."""

import json
import logging
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from suti.core import keys
from suti.core.errors import PermanentError
from suti.infra.rpc.operations import PREFIX, OperationMissing
from suti.infra.store import ObjectInfo, ObjectMissing, Store

KEPT_FOR = timedelta(days=30)  # from the end on

_ENDED = "ended"

_log = logging.getLogger(__name__)


class OperationUnreadable(PermanentError):
    """What lies where an operation's record should is none."""

    reason: ClassVar[str] = "OPERATION_UNREADABLE"
    grpc_code = "DATA_LOSS"


class OperationRecords:
    """The operations of one service; others may keep theirs in the same store. Blocking: for threads."""

    def __init__(self, store: Store, service: str, *, ids: str = "") -> None:
        self._store = store
        self._service = service
        self._ids = ids  # what the ids of this service's operations begin with; others are not even read

    def accept(self, operation_id: str, record: Mapping[str, Any]) -> None:
        """The operation exists from now on; one that exists stays as it is."""
        told = json.dumps({"service": self._service, **record}, indent=1).encode()
        self._store.create(keys.operation(operation_id), told)

    def get(self, name: str) -> tuple[str, dict[str, Any]]:
        """Id and record of the operation `operations/...`. Raises OperationMissing, OperationUnreadable."""
        operation_id = name.removeprefix(PREFIX)
        if not operation_id.isalnum() or not operation_id.startswith(self._ids):
            raise OperationMissing(name)
        try:
            record: dict[str, Any] = json.loads(self._store.get(keys.operation(operation_id)))
            service = record["service"]
        except ObjectMissing:
            raise OperationMissing(name) from None
        except (ValueError, KeyError, TypeError) as error:
            raise OperationUnreadable(
                f"the record of operation {operation_id} is damaged ({error!r}): start a new one"
            ) from error
        if service != self._service:
            raise OperationMissing(name)
        return operation_id, record

    def part(self, operation_id: str, name: str) -> bytes | None:
        """One object that belongs to the operation, None if there is none of that name."""
        try:
            return self._store.get(keys.operation_part(operation_id, name))
        except ObjectMissing:
            return None

    def end(self, operation_id: str) -> None:
        """Nobody needs to look after the operation any more; after `KEPT_FOR` it is swept."""
        self._store.create(keys.operation_part(operation_id, _ENDED), b"")

    def has_ended(self, operation_id: str) -> bool:
        """Whether `end` was called for it."""
        return self._store.exists(keys.operation_part(operation_id, _ENDED))

    def open(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Ids and records of those that have not ended. What is none of ours, or damaged, is passed over."""
        for operation_id in self._store.folders(keys.OPERATIONS):
            if not operation_id.startswith(self._ids) or self.has_ended(operation_id):
                continue
            try:
                yield self.get(operation_id)
            except OperationMissing:  # another service's, or just being accepted
                continue
            except OperationUnreadable as error:
                _log.error("%s", error)


def sweep_operations(store: Store, *, now: datetime, older_than: timedelta = KEPT_FOR) -> int:
    """Deletes operations that ended so long ago, of all services, with all that belongs to them; how many objects."""
    found: dict[str, list[ObjectInfo]] = {}
    for info in store.list(keys.OPERATIONS):
        operation_id, in_folder, _ = info.key.removeprefix(keys.OPERATIONS).partition("/")
        found.setdefault(operation_id if in_folder else operation_id.removesuffix(".json"), []).append(info)
    swept = 0
    for operation_id, objects in found.items():
        mark = keys.operation_part(operation_id, _ENDED)
        if not any(info.key == mark and now - info.modified > older_than for info in objects):
            continue
        for info in sorted(objects, key=lambda info: info.key == mark):  # the mark last: what is cut short goes on
            store.delete(info.key)
            swept += 1
    return swept
