"""One pod's part of a gang (or a whole gang, on one machine): `python -m suti.infra.jobs.gang_entry`.

It runs torchrun, which meets the gang's other pods and starts this one's processes. torchrun ends with 1 whatever its
processes ended with, so each leaves its exit code in a folder, and this ends with the one that says most. Where a
process ended because another pod's was gone, nothing is lost: this pod runs torchrun anew, and all meet again.
"""

import argparse
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from suti.core.errors import ExitCode
from suti.infra.jobs.environment import EXIT_FOLDER, JOB_NAME
from suti.infra.jobs.verdicts import Verdict, verdict
from suti.infra.logs import setup_logs

_CRASHED = 1
_WAIT_S = 1.0  # before meeting again
_MEET_S = 600  # for the others to come
# What says most, first: the whole job cannot work, this work cannot, it broke, it may work later, it was stopped.
_ORDER = (Verdict.FAIL_JOB, Verdict.FAIL_INDEX, Verdict.RETRY, Verdict.RETRY_FREE, Verdict.DONE)

_log = logging.getLogger(__name__)


def gang_code(codes: Mapping[int, int], *, processes: int) -> int:
    """What a pod ends with whose processes left these codes, by rank. One that left none crashed."""
    ended = [*codes.values(), *[_CRASHED] * (processes - len(codes))]
    return min(ended, key=lambda code: (_ORDER.index(verdict(code)), code != ExitCode.TRY_AGAIN))


def torchrun(module: Sequence[str], *, pods: int, processes: int, meet_at: str) -> tuple[str, ...]:
    """The command of one pod. `meet_at` is host:port of the first pod, empty for a gang on one machine."""
    meeting = (
        (
            f"--nnodes={pods}",
            "--rdzv-backend=c10d",
            f"--rdzv-id={os.environ.get(JOB_NAME, 'gang')}",
            f"--rdzv-endpoint={meet_at}",
            f"--rdzv-conf=join_timeout={_MEET_S}",
        )
        if meet_at
        else ("--standalone",)
    )
    return (
        sys.executable, "-m", "torch.distributed.run", *meeting, f"--nproc-per-node={processes}", "--max-restarts=0",
        "-m", *module,
    )  # fmt: skip


class GangPart:
    """Runs torchrun until there is something to tell."""

    def __init__(self, command: Sequence[str], *, processes: int, alone: bool) -> None:
        self._command = command
        self._processes = processes
        self._alone = alone
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """On SIGTERM: the processes are asked to stop, and nothing is started any more."""
        self._stopped = True
        if self._running is not None:
            self._running.send_signal(signal.SIGTERM)

    def run(self) -> int:
        """The exit code."""
        while not self._stopped:
            code = self._once()
            lost = verdict(code) is Verdict.RETRY_FREE and not self._alone
            if self._stopped or not lost:
                return code
            _log.info("another pod of the gang is gone: meeting anew")
            time.sleep(_WAIT_S)
        return ExitCode.TERMINATED

    def _once(self) -> int:
        with tempfile.TemporaryDirectory(prefix="suti-gang-") as folder:
            environment = {**os.environ, EXIT_FOLDER: folder}
            self._running = subprocess.Popen(self._command, env=environment)  # noqa: S603 - what our own launcher wrote
            if self._stopped:  # just now
                self._running.send_signal(signal.SIGTERM)
            ended = self._running.wait()
            self._running = None
            codes = {int(path.name): int(path.read_text()) for path in Path(folder).iterdir()}
        if ended == 0:
            return ExitCode.OK
        if not codes and self._stopped:
            return ExitCode.TERMINATED
        if not codes and not self._alone:  # the others never came, or the one that all meet at went
            return ExitCode.TERMINATED
        return gang_code(codes, processes=self._processes)


def main() -> int:
    """The gang's part that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=1)
    parser.add_argument("--processes", type=int, required=True, help="of this pod")
    parser.add_argument("--meet-at", default="", help="host:port of the first pod")
    parser.add_argument("module", nargs="+")
    told = parser.parse_args()
    setup_logs("gang")
    command = torchrun(told.module, pods=told.pods, processes=told.processes, meet_at=told.meet_at)
    part = GangPart(command, processes=told.processes, alone=not told.meet_at)
    signal.signal(signal.SIGTERM, part.stop)
    return part.run()


if __name__ == "__main__":
    sys.exit(main())
