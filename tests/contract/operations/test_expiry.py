"""What is left of operations goes when they ended long ago; what has not ended, and weights, stay."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from suti.core import keys
from suti.infra.operations import OperationRecords, sweep_operations
from suti.infra.store import Store


def test_ended_operations_are_swept_after_thirty_days_and_nothing_else(store: Store, tmp_path: Path) -> None:
    records = OperationRecords(store, "experts")
    for operation_id in ("LONGAGO", "LATELY", "UNFINISHED"):
        records.accept(operation_id, {"steps": 1})
        store.put(keys.operation_part(operation_id, "request.bin"), b"asked")
        store.put(keys.tuned(operation_id, "adapter.safetensors"), b"weights")
    for operation_id in ("LONGAGO", "LATELY"):
        records.end(operation_id)
    then = time.time() - timedelta(days=31).total_seconds()
    for info in list(store.list("")):
        if "LATELY/ended" not in info.key:
            os.utime(tmp_path / "store" / info.key, (then, then))

    assert sweep_operations(store, now=datetime.now(UTC)) == 3

    left = [info.key for info in store.list("")]
    assert [key for key in left if "LONGAGO" in key] == [keys.tuned("LONGAGO", "adapter.safetensors")]
    assert [operation_id for operation_id, _ in records.open()] == ["UNFINISHED"]
    assert len(left) == 1 + 4 + 3
