"""Where the pods of a gang meet before each start of their processes, and learn that one of them went.

The first pod listens; each pod holds one connection as long as its processes run. Once all are there, all are told a
port that nobody has used yet: what is left of an earlier start cannot be mistaken for this one. A connection that
breaks ends the round for all.
"""

import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress

_LOOK_S = 0.5
_ANSWER_S = 10.0


class NobodyCame(Exception):
    """The others were not there in time, or before this pod was stopped."""


def _never() -> bool:
    """Nobody stops this pod."""
    return False


class Round:
    """One meeting, after which all start their processes: `port` is where these meet, on the first pod."""

    def __init__(self, port: int, connections: list[socket.socket]) -> None:
        self.port = port
        self._connections = connections

    def broken(self) -> bool:
        """Whether another pod has left."""
        ready, _, _ = select.select(self._connections, [], [], 0)
        for connection in ready:
            try:
                if not connection.recv(1):
                    return True
            except OSError:
                return True
        return False

    def leave(self) -> None:
        """The others are told."""
        for connection in self._connections:
            with suppress(OSError):
                connection.close()


class FirstPod:
    """Listens as long as its pod lives."""

    def __init__(self, port: int, *, pods: int) -> None:
        self._pods = pods
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        self._listening = socket.create_server(("", port), family=family, backlog=pods, dualstack_ipv6=both)
        self._listening.settimeout(_LOOK_S)

    def close(self) -> None:
        """Nobody can come any more."""
        self._listening.close()

    def meet(self, *, limit_s: float, stopped: Callable[[], bool] = _never) -> Round:
        """All are here. Raises NobodyCame, within about a second once `stopped`."""
        give_up = time.monotonic() + limit_s
        here: dict[str, socket.socket] = {}
        while len(here) < self._pods - 1:
            if stopped() or time.monotonic() > give_up:
                Round(0, list(here.values())).leave()
                raise NobodyCame
            with suppress(TimeoutError):
                connection, _ = self._listening.accept()
                if pod := _hear(connection, stopped):
                    if (before := here.pop(pod, None)) is not None:
                        before.close()
                    here[pod] = connection
                else:
                    connection.close()
            for pod in [pod for pod, one in here.items() if Round(0, [one]).broken()]:
                here.pop(pod).close()
        found = Round(_free_port(), list(here.values()))
        for connection in here.values():
            with suppress(OSError):  # it has just gone: the round breaks at once
                connection.sendall(f"{found.port}\n".encode())
        return found


class OtherPod:
    """Looks for the first one."""

    def __init__(self, host: str, port: int, *, pod: int) -> None:
        self._address = (host, port)
        self._pod = pod

    def meet(self, *, limit_s: float, stopped: Callable[[], bool] = _never) -> Round:
        """All are here. Raises NobodyCame, within about a second once `stopped` (while it connects: ten)."""
        give_up = time.monotonic() + limit_s
        while not stopped() and time.monotonic() < give_up:
            with suppress(OSError):  # it is not there yet, or its name is not
                connection = socket.create_connection(self._address, timeout=_ANSWER_S)
                try:
                    _keep_alive(connection)
                    connection.sendall(f"{self._pod}\n".encode())
                    port = _line(connection, max(1.0, give_up - time.monotonic()), stopped)
                except OSError:
                    port = ""
                if port:
                    return Round(int(port), [connection])
                connection.close()
            time.sleep(_LOOK_S)
        raise NobodyCame


def _hear(connection: socket.socket, stopped: Callable[[], bool]) -> str:
    """The number of the pod that speaks; empty if nobody does."""
    connection.settimeout(_ANSWER_S)  # for what is said to it later
    _keep_alive(connection)
    with suppress(OSError):
        return _line(connection, _ANSWER_S, stopped)
    return ""


def _line(connection: socket.socket, limit_s: float, stopped: Callable[[], bool]) -> str:
    """The number that the other side says in time; empty if it says another thing, nothing, or this pod is stopped."""
    give_up, told = time.monotonic() + limit_s, b""
    while not told.endswith(b"\n"):
        while not select.select([connection], [], [], _LOOK_S)[0]:
            if stopped() or time.monotonic() > give_up:
                return ""
        if not (more := connection.recv(1)):
            return ""
        told += more
    return told.decode().strip() if told[:-1].isdigit() else ""


def _keep_alive(connection: socket.socket) -> None:
    """A machine that is gone without a word is noticed within a minute."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _free_port() -> int:
    with socket.create_server(("", 0)) as probe:
        return int(probe.getsockname()[1])
