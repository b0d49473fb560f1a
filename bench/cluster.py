"""`make bench-cluster`: expert shards on a real control plane with simulated nodes. Container start is not in it.

    KUBECONFIG=... python -m bench.cluster [--shards 400 1000] [--seconds 30] [--rounds 10] [--kill]

Needs a cluster on which kwok plays nodes with the annotation `kwok.x-k8s.io/node` and ends pods of jobs after their
`simulated/seconds`; it makes nodes of 8 GPUs itself, and a NATS server beside it. Everything of Suti is real: the
pipeline, the experts' launcher, tickets, Indexed Jobs, watches. What the containers would do, their commits, is written
by the bench when a pod is seen to run.

Makespan: from the run's beginning until every ticket is answered. Ideal: shards ÷ slots, rounded up, x a pod's seconds.
"""

import argparse
import asyncio
import json
import math
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.cluster_pods import SimulatedPods
from bench.cluster_questions import Questions, told
from bench.cluster_run import begin_run, prepare_run
from suti.infra.bus.connection import Bus
from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.jobs.kubernetes.errors import ApiFault
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from tests.servers.nats import NatsServer

_LABEL = "suti-bench"
_NODES_READY_S = 60.0
_GPUS = 8  # of each simulated node
_LIMIT_S = 3600.0


@dataclass(frozen=True)
class Size:
    """What is measured."""

    shards: int
    slots: int
    seconds: float
    kill_share: float


@dataclass(frozen=True)
class Outcome:
    """What one size took."""

    shards: int
    slots: int
    pod_seconds: float
    killed: int
    makespan_s: float
    ideal_s: float
    jobs: int
    launcher_requests: int
    launcher_by_kind: dict[str, int]
    server_requests: int
    launcher_peak_bytes: int
    launcher_cpu_s: float
    pipeline_peak_bytes: int
    status_s: tuple[float, float] | None  # median, most; None: not one answer
    why_s: tuple[float, float] | None
    questions_failed: int

    @property
    def ratio(self) -> float:
        """Makespan ÷ ideal."""
        return self.makespan_s / self.ideal_s

    def line(self) -> str:
        """For people."""
        return (
            f"{self.shards:6d} shards on {self.slots} slots, pods of {self.pod_seconds:g} s, {self.killed} killed: "
            f"{self.makespan_s:.1f} s = {self.ratio:.3f} x ideal; {self.jobs} jobs; API requests per shard: "
            f"{self.launcher_requests / self.shards:.3f} by the launcher, {self.server_requests / self.shards:.1f} "
            f"in all; "
            f"launcher {self.launcher_peak_bytes / 1e6:.0f} MB, {self.launcher_cpu_s:.0f} s of CPU; "
            f"pipeline {self.pipeline_peak_bytes / 1e6:.0f} MB; status {told(self.status_s)}, "
            f"why {told(self.why_s)}, {self.questions_failed} questions without an answer"
        )


def main() -> int:
    """Measures each size, prints a line each, writes them all to OUT."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, nargs="+", default=[400])
    parser.add_argument("--seconds", type=float, default=30.0, help="of a pod")
    parser.add_argument("--rounds", type=int, default=10, help="shards ÷ slots; the slots follow, 8 to a node")
    parser.add_argument("--kill", action="store_true", help="kill 5 %% of the pods in the middle of their time")
    parser.add_argument("--out", type=Path, default=Path("out/bench-cluster"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    for shards in options.shards:
        size = Size(shards, shards // options.rounds, options.seconds, 0.05 if options.kill else 0.0)
        outcomes.append(measure(size, logs=options.out))
        print(outcomes[-1].line(), flush=True)
        measured = [{**asdict(one), "ratio": one.ratio} for one in outcomes]
        name = "killed.json" if options.kill else "undisturbed.json"
        (options.out / name).write_text(json.dumps(measured, indent=1) + "\n")
    if len(outcomes) > 1:
        print(f"growth exponent of slot-seconds over shards: {growth(outcomes):.3f}")
    limit = 1.10 if options.kill else 1.05
    return 0 if all(one.ratio <= limit for one in outcomes) else 1


def growth(outcomes: Sequence[Outcome]) -> float:
    """The slope of log(slot-seconds ÷ a pod's seconds) over log(shards): 1 where each shard costs the same."""
    points = [(math.log(one.shards), math.log(one.makespan_s * one.slots / one.pod_seconds)) for one in outcomes]
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


def measure(size: Size, *, logs: Path) -> Outcome:
    """One run of so many shards. What the services say goes into the folder `logs`."""
    api = KubernetesApi.connect(Path(os.environ["KUBECONFIG"]))
    with tempfile.TemporaryDirectory(prefix="suti-bench-") as scratch, namespace(api, size.slots) as name:
        return asyncio.run(_measure(api, Path(scratch), name, size, logs))


async def _measure(api: KubernetesApi, folder: Path, namespace: str, size: Size, logs: Path) -> Outcome:
    shards, seconds = size.shards, size.seconds
    store = Store.open(f"file://{folder}/store")
    nats = NatsServer(folder / "nats")
    nats.start()
    (folder / "template.json").write_text(json.dumps(template(namespace, seconds)))
    run = prepare_run(store, shards=shards)
    ledger = Ledger(store, run.run_id)
    pods = SimulatedPods(api, namespace, ledger, seconds=seconds, kill_share=size.kill_share)
    pods.start()
    command = ["bench.cluster_launcher", str(folder / "took.json")]
    launcher = process(folder, nats.url, "experts", command, logs=logs, slots=size.slots)
    pipeline = process(folder, nats.url, "pipeline", ["suti_pipeline"], logs=logs)
    for service in ("experts", "pipeline"):
        await _listens(folder / f"{service}.port")
    before, began = _served(api), time.monotonic()
    begin_run(store, run)
    asked = Questions(folder / "pipeline.port", run.run_id)
    try:
        async with await Bus.connect(nats.url, name="bench") as bus:
            await _done(bus, ledger, shards, pods, began)
        makespan_s = time.monotonic() - began
        asked.stop()
        jobs = len(api.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"])
        served = _served(api) - before
        pipeline_peak = _peak(pipeline)
    finally:
        asked.stop()
        pods.stop()
        for one in (launcher, pipeline):
            one.send_signal(signal.SIGTERM)
        for one in (launcher, pipeline):
            one.wait(60)
        nats.stop()
    took = json.loads((folder / "took.json").read_text())
    return Outcome(
        shards=shards,
        slots=size.slots,
        pod_seconds=seconds,
        killed=pods.killed,
        makespan_s=makespan_s,
        ideal_s=math.ceil(shards / size.slots) * seconds,
        jobs=jobs,
        launcher_requests=sum(took["requests"].values()),
        launcher_by_kind=took["requests"],
        server_requests=served,
        launcher_peak_bytes=took["peak_bytes"],
        launcher_cpu_s=took["cpu_s"],
        pipeline_peak_bytes=pipeline_peak,
        status_s=asked.took("status"),
        why_s=asked.took("why"),
        questions_failed=asked.failed,
    )


async def _done(bus: Bus, ledger: Ledger, shards: int, pods: SimulatedPods, began: float) -> None:
    """Returns once all shards are committed and all tickets are answered."""
    told_at, last = time.monotonic(), 0
    while True:
        while last < shards and ledger.is_committed("experts", last):
            last += 1
        depth = await bus.queue_depth("experts")
        if last == shards and depth == 0:
            return
        if time.monotonic() - began > _LIMIT_S:
            raise SystemExit(f"not done after {_LIMIT_S:g} s: {last} of {shards} committed, {depth} tickets left")
        if time.monotonic() - told_at > 15:
            told_at = time.monotonic()
            print(f"  {told_at - began:5.0f} s: {depth} tickets left, {len(pods.began)} pods run", flush=True)
        await asyncio.sleep(0.1)


def template(namespace: str, seconds: float) -> dict[str, Any]:
    """Pods of one GPU each, for simulated nodes alone."""
    return {
        "namespace": namespace,
        "image": "localhost/simulated:none",
        "runAsUser": 65532,
        "graceS": 1,
        "hangS": None,
        "podAnnotations": {"simulated/seconds": f"{seconds:g}s"},
        "nodeSelector": {_LABEL: namespace},
        "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule"}],
        "accelerator": {"resource": "nvidia.com/gpu", "count": 1},
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {}},
    }


def process(
    folder: Path, nats_url: str, service: str, command: list[str], *, logs: Path, slots: int = 0
) -> subprocess.Popen[bytes]:
    """A service of its own process; what it says goes to `logs`/SERVICE.log."""
    told = {
        "NATS_URL": nats_url,
        "STORE_URL": f"file://{folder}/store",
        "PORT_FILE": str(folder / f"{service}.port"),
        "JOBS_BACKEND": "kubernetes",
        "JOB_TEMPLATE": str(folder / "template.json"),
        "KUBECONFIG": os.environ["KUBECONFIG"],
        "LOG_LEVEL": "WARNING",
    }
    if slots:
        told["SHARDS_AT_ONCE"] = str(2 * slots)
    environment = os.environ | {f"SUTI_{service.upper()}_{name}": value for name, value in told.items()}
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"{service}.log").open("wb") as out:
        return subprocess.Popen([sys.executable, "-m", *command], env=environment, stdout=out, stderr=out)  # noqa: S603


@contextmanager
def namespace(api: KubernetesApi, slots: int) -> Generator[str]:
    """A namespace of this run's own, and nodes for it that let so many pods run at once."""
    name = f"suti-bench-{secrets.token_hex(3)}"
    nodes = {f"/api/v1/nodes/{name}-{at}": min(_GPUS, slots - at) for at in range(0, slots, _GPUS)}
    path = f"/api/v1/namespaces/{name}"
    api.apply(path, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, manager="bench")
    try:
        for node, gpus in nodes.items():
            api.apply(node, _node(node.rsplit("/", 1)[1], name, gpus), manager="bench")
        _wait_for_nodes(api, name, {node.rsplit("/", 1)[1] for node in nodes})
        yield name
    finally:
        api.delete(f"/apis/batch/v1/namespaces/{name}/jobs", {"propagationPolicy": "Background"})
        api.delete(path, {})
        for node in nodes:
            with suppress(ApiFault):
                api.delete(node, {})
        api.close()


def _wait_for_nodes(api: KubernetesApi, label: str, names: Set[str]) -> None:
    """Until all are ready. Raises RuntimeError where nobody plays them, or not all of them."""
    deadline, left = time.monotonic() + _NODES_READY_S, names
    while time.monotonic() < deadline:
        left = names - ready(api.get("/api/v1/nodes", {"labelSelector": f"{_LABEL}={label}"})["items"])
        if not left:
            return
        time.sleep(1.0)
    raise RuntimeError(
        f"{len(left)} of {len(names)} simulated nodes are not ready after {_NODES_READY_S:.0f} s, such as {min(left)}: "
        "start kwok, which plays them"
    )


def ready(nodes: Iterable[Mapping[str, Any]]) -> set[str]:
    """The names of those nodes that are."""
    return {
        node["metadata"]["name"]
        for node in nodes
        if any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"].get("conditions", []))
    }


def _node(name: str, label: str, gpus: int) -> dict[str, Any]:
    room = {"cpu": "32", "memory": "256Gi", "pods": "110", "nvidia.com/gpu": str(gpus)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {_LABEL: label, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
            "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
        },
        "spec": {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]},
        "status": {"allocatable": room, "capacity": room},
    }


async def _listens(port_file: Path) -> None:
    async with asyncio.timeout(120):
        while not port_file.exists():  # noqa: ASYNC110, ASYNC240 - another process's file
            await asyncio.sleep(0.1)


def _served(api: KubernetesApi) -> int:
    """Requests that the API server has answered since it began, whoever asked."""
    lines = api.text("/metrics", {}).splitlines()
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith("apiserver_request_total{"))


def _peak(process: subprocess.Popen[bytes]) -> int:
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        return int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
    return int(psutil.Process(process.pid).memory_info().rss)


if __name__ == "__main__":
    sys.exit(main())
