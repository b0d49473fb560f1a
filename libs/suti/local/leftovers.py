"""What a killed command left running: found by process id and start time, so that nobody else is ever ended."""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

_END_S = 10.0
_SAME_S = 1.0  # start times closer than this are one process'


def note(path: Path, pids: Iterable[int]) -> None:
    """Write down which processes are ours now."""
    noted: list[dict[str, float]] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            noted.append({"pid": pid, "started_at": psutil.Process(pid).create_time()})
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(noted), encoding="utf-8")
    new.replace(path)


def end(path: Path) -> list[int]:
    """End those noted processes that still run, with their children; returns whom. Call it with the folder locked."""
    found: list[psutil.Process] = []
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        noted = []
    for one in noted:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(int(one["pid"]))
            if abs(process.create_time() - float(one["started_at"])) < _SAME_S:
                found += [process, *process.children(recursive=True)]
    end_all(found)
    path.unlink(missing_ok=True)
    return [process.pid for process in found]


def family(pids: Iterable[int]) -> list[psutil.Process]:
    """The processes and all that they started."""
    found: list[psutil.Process] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            found += [process, *process.children(recursive=True)]
    return found


def end_all(processes: Iterable[psutil.Process]) -> None:
    """SIGTERM, and SIGKILL for those that do not go. Who has gone already is left alone, its id may be another's."""
    still = [process for process in processes if process.is_running()]
    for process in still:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(still, timeout=_END_S)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
