"""One pod's part of a gang (or a whole gang, on one machine): `python -m suti.infra.jobs.gang_entry`.

It meets the gang's other pods (`suti.infra.jobs.gang_meeting`) and runs torchrun, which starts this one's processes.
torchrun ends with 1 whatever its processes ended with, so each leaves its exit code in a folder, and this ends with the
one that says most. Where a process ended because another pod was gone, nothing is lost: all meet again.
"""

import argparse
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from suti.core.errors import ExitCode
from suti.infra.jobs.environment import COMPLETION_INDEX, EXIT_FOLDER
from suti.infra.jobs.gang_meeting import FirstPod, NobodyCame, OtherPod, Round
from suti.infra.jobs.verdicts import Verdict, verdict
from suti.infra.logs import setup_logs

_CRASHED = 1
_LOOK_S = 0.5
_MEET_S = 600.0  # for the others to come; their nodes may have to be made first
_BY_ITSELF_S, _ASKED_S = 20.0, 35.0  # torchrun lets its processes have thirty seconds
# What says most, first: the whole job cannot work, this work cannot, it broke, it may work later, it was stopped.
_ORDER = (Verdict.FAIL_JOB, Verdict.FAIL_INDEX, Verdict.RETRY, Verdict.RETRY_FREE, Verdict.DONE)

_log = logging.getLogger(__name__)


def gang_code(codes: Mapping[int, int], *, processes: int) -> int:
    """What a pod ends with whose processes left these codes, by rank. One that left none crashed."""
    ended = [*codes.values(), *[_CRASHED] * (processes - len(codes))]
    return min(ended, key=lambda code: (_ORDER.index(verdict(code)), code != ExitCode.TRY_AGAIN))


def torchrun(module: Sequence[str], *, pods: int, pod: int, processes: int, host: str, port: int) -> tuple[str, ...]:
    """The command of one pod: `host` is the first pod's, empty for a gang on one machine."""
    meeting = (
        (f"--nnodes={pods}", f"--node-rank={pod}", f"--master-addr={host}", f"--master-port={port}")
        if host
        else ("--standalone",)
    )
    return (
        sys.executable, "-m", "torch.distributed.run", *meeting, f"--nproc-per-node={processes}", "--max-restarts=0",
        "-m", *module,
    )  # fmt: skip


@dataclass(frozen=True)
class Gang:
    """What the arguments and the environment say."""

    module: Sequence[str]
    pods: int
    pod: int
    processes: int
    host: str = ""  # the first pod's; empty: all of the gang is here
    port: int = 0


class GangPart:
    """Runs torchrun until there is something to tell."""

    def __init__(self, gang: Gang) -> None:
        self._gang = gang
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """On SIGTERM: the processes are asked to stop, and nothing is started any more."""
        self._stopped = True
        if self._running is not None:
            self._running.send_signal(signal.SIGTERM)

    def run(self) -> int:
        """The exit code."""
        gang = self._gang
        if not gang.host:
            return self._once(None, port=0)
        first = gang.pod == 0
        place = FirstPod(gang.port, pods=gang.pods) if first else OtherPod(gang.host, gang.port, pod=gang.pod)
        while not self._stopped:
            try:
                together = place.meet(limit_s=_MEET_S, stopped=lambda: self._stopped)
            except NobodyCame:
                if not self._stopped:
                    _log.info("the other pods of the gang did not come: starting anew")
                return ExitCode.TERMINATED
            try:
                code = self._once(together, port=together.port)
            finally:
                together.leave()
            if self._stopped or verdict(code) is not Verdict.RETRY_FREE:
                return code
            _log.info("another pod of the gang is gone: meeting anew")
        return ExitCode.TERMINATED

    def _once(self, together: Round | None, *, port: int) -> int:
        """Runs torchrun to its end; where another pod has left meanwhile, soon."""
        gang = self._gang
        command = torchrun(
            gang.module, pods=gang.pods, pod=gang.pod, processes=gang.processes, host=gang.host, port=port
        )
        broken = False
        with tempfile.TemporaryDirectory(prefix="suti-gang-") as folder:
            environment = {**os.environ, EXIT_FOLDER: folder}
            running = subprocess.Popen(command, env=environment)  # noqa: S603 - what our own launcher wrote
            self._running = running
            if self._stopped:  # just now
                running.send_signal(signal.SIGTERM)
            while not _ended(running, _LOOK_S):
                if together is not None and together.broken():
                    broken = True
                    _end(running)
            self._running = None
            codes = {int(path.name): int(path.read_text()) for path in Path(folder).iterdir()}
        if running.returncode == 0:
            return ExitCode.OK
        if self._stopped and not codes:
            return ExitCode.TERMINATED
        if broken and not any(verdict(code) in (Verdict.FAIL_JOB, Verdict.FAIL_INDEX) for code in codes.values()):
            return ExitCode.TERMINATED  # whatever they ended with, they ended for want of the other
        return gang_code(codes, processes=gang.processes)


def _ended(running: subprocess.Popen[bytes], wait_s: float) -> bool:
    with suppress(subprocess.TimeoutExpired):
        running.wait(wait_s)
    return running.poll() is not None


def _end(running: subprocess.Popen[bytes]) -> None:
    """Who has lost another, or is done, ends by itself; who does not is asked, then killed."""
    for signal_number, wait_s in ((None, _BY_ITSELF_S), (signal.SIGTERM, _ASKED_S), (signal.SIGKILL, _ASKED_S)):
        if signal_number is not None:
            running.send_signal(signal_number)
        if _ended(running, wait_s):
            return


def main() -> int:
    """The gang's part that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=1)
    parser.add_argument("--processes", type=int, required=True, help="of this pod")
    parser.add_argument("--meet-at", default="", help="host:port of the first pod")
    parser.add_argument("module", nargs="+")
    told = parser.parse_args()
    setup_logs("gang")
    host, _, port = told.meet_at.rpartition(":")
    gang = Gang(
        told.module,
        pods=told.pods,
        pod=int(os.environ.get(COMPLETION_INDEX, "0")) if host else 0,
        processes=told.processes,
        host=host,
        port=int(port or 0),
    )
    part = GangPart(gang)
    signal.signal(signal.SIGTERM, part.stop)
    return part.run()


if __name__ == "__main__":
    sys.exit(main())
