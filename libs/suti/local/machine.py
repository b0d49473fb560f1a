"""Everything on one machine: started, kept running, stopped. Blocking; one thread watches."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, ClassVar, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from suti.client.endpoints import Endpoints, Service
from suti.core.errors import BadConfiguration
from suti.local import leftovers
from suti.local.folder import DataFolder
from suti.local.process import ChildProcess
from suti.local.programs import NATS, MachineOptions, nats_command, service_command, service_environment

_LOOK_S = 0.2
_STEADY_S = 30.0  # who ran so long may crash anew without being made to wait
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 15.0
_GIVE_UP_STARTS = 3  # who never listened after so many starts is not going to
_STOP_S = 12.0
_PROBE_S = 1.0


class ServiceDidNotStart(BadConfiguration):
    """A process of `suti up` ended again and again, or did not listen in time."""

    reason: ClassVar[str] = "SERVICE_DID_NOT_START"


class State(StrEnum):
    """How one process stands."""

    STARTING = "starting"
    SERVING = "serving"
    CRASHED = "crashed"  # waits to be started again
    STOPPED = "stopped"


@dataclass(frozen=True)
class Row:
    """One process, for a table."""

    name: str
    state: State
    address: str
    pid: int
    restarts: int
    uptime_s: float


class Machine:
    """NATS and the seven services in one data folder. Use it in a `with`: leaving it stops everything."""

    def __init__(self, data: DataFolder, options: MachineOptions | None = None) -> None:
        self.data = data
        self._options = options or MachineOptions()
        self._nats_port = 0
        self._children: dict[str, ChildProcess] = {}
        self._address: dict[str, str] = {}
        self._again_at: dict[str, float] = {}
        self._backoff_s: dict[str, float] = {}
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self.ended_leftovers: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(
        self,
        *,
        timeout_s: float = 600.0,
        on_change: Callable[[], None] = lambda: None,
        on_ready: Callable[[str], None] = lambda name: None,
    ) -> None:
        """Start everything and return once every service takes calls.

        Call it with the folder locked. `on_change` is called now and then, to show how far it is; `on_ready` once for
        each process, by name.

        Raises:
            ServiceDidNotStart: the end of the process' log is in the message.
        """
        self.data.create()
        self.ended_leftovers = leftovers.end(self.data.processes)
        self.data.endpoints.unlink(missing_ok=True)
        deadline = time.monotonic() + timeout_s
        self._start_nats(deadline)
        on_ready(NATS)
        for service in self._options.services:
            self._start_service(service, listen="127.0.0.1:0")
        self._note()
        waiting = set(self._options.services)
        while waiting:
            for service in list(waiting):
                if self._probe(service):
                    waiting.discard(service)
                    on_ready(service.value)
                else:
                    self._check_start(service, deadline)
            on_change()
            time.sleep(0.05)
        self.data.endpoints.write_text(json.dumps({**self._address, NATS: self._nats_url}, indent=1), encoding="utf-8")
        self._watcher.start()

    def endpoints(self) -> Endpoints:
        """Where the services listen."""
        return Endpoints(**{service.value: self._address[service.value] for service in self._options.services})

    def rows(self) -> list[Row]:
        """Every process as it stands."""
        return [
            Row(
                name=name,
                state=self._state(name, child),
                address=self._address.get(name, ""),
                pid=child.pid if child.is_running else 0,
                restarts=max(0, child.starts - 1),
                uptime_s=child.uptime_s if child.is_running else 0.0,
            )
            for name, child in list(self._children.items())
        ]

    def stop(self) -> None:
        """Stop all services at once, then NATS; who does not go in time is killed. Harmless when called again."""
        self._stopping.set()
        if self._watcher.is_alive():
            self._watcher.join()
        family = leftovers.family(child.pid for child in self._children.values() if child.is_running)
        services = [child for name, child in self._children.items() if name != NATS]
        for child in services:
            child.ask_to_stop()
        deadline = time.monotonic() + _STOP_S
        for child in services:
            child.wait(max(0.1, deadline - time.monotonic()))
            child.kill()
        if (nats := self._children.get(NATS)) is not None:
            nats.ask_to_stop()
            nats.wait(5.0)
            nats.kill()
        leftovers.end_all(family)  # jobs of a service that did not stop them in time
        self.data.endpoints.unlink(missing_ok=True)
        self.data.processes.unlink(missing_ok=True)

    @property
    def _nats_url(self) -> str:
        return f"nats://127.0.0.1:{self._nats_port}"

    def _start_nats(self, deadline: float) -> None:
        self._nats_port = _free_port()
        command = nats_command(self.data, self._nats_port)
        child = ChildProcess(NATS, command, dict(os.environ), self.data.logs / "nats.log")
        self._children[NATS] = child
        self._address[NATS] = f"127.0.0.1:{self._nats_port}"
        child.start()
        while not _nats_answers(self._nats_port):
            if not child.is_running or time.monotonic() > deadline:
                raise ServiceDidNotStart(f"nats-server does not answer: see {child.log}\n{child.log_tail()}")
            time.sleep(0.02)

    def _start_service(self, service: Service, *, listen: str) -> None:
        environment = service_environment(service, self.data, self._options, nats_url=self._nats_url, listen=listen)
        log = self.data.logs / f"{service.value}.log"
        before = self._children.get(service.value)
        (self.data.ports / service.value).unlink(missing_ok=True)
        child = ChildProcess(service.value, service_command(service), environment, log)
        child.starts = before.starts if before else 0
        self._children[service.value] = child
        child.start()

    def _probe(self, service: Service) -> bool:
        """Whether the service takes calls; learns its address."""
        with suppress(FileNotFoundError):
            address = (self.data.ports / service.value).read_text(encoding="utf-8").strip()
            self._address[service.value] = address
            return _serves(address)
        return False

    def _check_start(self, service: Service, deadline: float) -> None:
        child = self._children[service.value]
        if child.is_running:
            if time.monotonic() > deadline:
                waited_s = time.monotonic() - child.started_at
                raise ServiceDidNotStart(
                    f"suti_{service} does not listen after {waited_s:.0f} s: end other programs on a busy machine, "
                    f"or start fewer services (--only); see {child.log}\n{child.log_tail()}"
                )
            return
        if child.starts >= _GIVE_UP_STARTS:
            raise ServiceDidNotStart(
                f"suti_{service} ended with code {child.exit_code}: see {child.log}\n{child.log_tail()}"
            )
        self._start_service(service, listen="127.0.0.1:0")
        self._note()

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            for name, child in list(self._children.items()):
                if not child.is_running and not self._stopping.is_set():
                    self._start_again(name, child)

    def _start_again(self, name: str, child: ChildProcess) -> None:
        """After a while that doubles with each crash; at the same address, so that nobody has to be told."""
        now = time.monotonic()
        if name not in self._again_at:
            steady = now - child.started_at > _STEADY_S
            wait_s = _FIRST_BACKOFF_S if steady else self._backoff_s.get(name, _FIRST_BACKOFF_S)
            self._backoff_s[name] = min(wait_s * 2, _LONGEST_BACKOFF_S)
            self._again_at[name] = now + wait_s
        if now < self._again_at[name]:
            return
        del self._again_at[name]
        if name == NATS:
            child.start()
        else:
            self._start_service(Service(name), listen=self._address[name])
        self._note()

    def _state(self, name: str, child: ChildProcess) -> State:
        if self._stopping.is_set() and not child.is_running:
            return State.STOPPED
        if not child.is_running:
            return State.CRASHED
        if name == NATS or ((self.data.ports / name).exists() and name in self._address):
            return State.SERVING
        return State.STARTING

    def _note(self) -> None:
        leftovers.note(self.data.processes, [child.pid for child in self._children.values() if child.is_running])


def _serves(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # its stubs have no types
        try:
            answer = health.Check(health_pb2.HealthCheckRequest(), timeout=_PROBE_S)
        except grpc.RpcError:
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING


def _nats_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
            return connection.recv(4) == b"INFO"
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
