"""The experts service as it is, which says at its end what it took: requests to the API server, memory.

python -m bench.cluster_launcher OUT    (settings in the environment, as for `python -m suti_experts`)
"""

import atexit
import json
import resource
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.service import run_service
from suti_experts.settings import ExpertsSettings
from suti_experts.wiring import wire


class CountedApi(KubernetesApi):
    """Counts requests by what they are; a watch is one."""

    calls: ClassVar[Counter[str]] = Counter()
    _lock = threading.Lock()

    def _send(self, method: str, path: str, query: Mapping[str, str | int] | None, *more: Any, **how: Any) -> Any:
        what = "watch" if (query or {}).get("watch") else method
        with self._lock:
            self.calls[f"{what} {path.rsplit('/namespaces/', maxsplit=1)[-1].split('/')[1]}"] += 1
        return super()._send(method, path, query, *more, **how)


def main() -> None:
    """Serves until SIGTERM."""

    def leave() -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        seconds = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        told = {"requests": dict(CountedApi.calls), "peak_bytes": peak, "cpu_s": seconds}
        Path(sys.argv[1]).write_text(json.dumps(told))

    atexit.register(leave)
    from suti.infra.jobs.kubernetes import api  # noqa: PLC0415

    api.KubernetesApi = CountedApi  # what the settings will import
    run_service("suti_experts", ExpertsSettings, wire)


if __name__ == "__main__":
    main()
