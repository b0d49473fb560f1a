"""The way into a job's process: the environment read once, SIGTERM as a flag, errors as exit codes."""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import ClassVar, NoReturn

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from suti.core.errors import BadConfiguration, ExitCode, SutiError
from suti.infra.jobs import environment as names
from suti.infra.jobs.port import Progress
from suti.infra.jobs.ranges import ranges_at
from suti.infra.jobs.store_progress import ProgressWriter, progress_key
from suti.infra.logs import setup_logs
from suti.infra.store import Store
from suti.infra.telemetry.context import incoming_context
from suti.infra.telemetry.setup import setup

_CRASHED = 1

_log = logging.getLogger(__name__)


class NotAJob(BadConfiguration):
    """The process was not started as a job: its index is missing from the environment."""

    reason: ClassVar[str] = "NOT_A_JOB"


@dataclass(frozen=True)
class JobContext:
    """What a job's process knows of itself."""

    name: str
    index: int  # = shard
    progress_file: Path | None = None
    progress_prefix: str | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _writers: list[ProgressWriter] = field(default_factory=list[ProgressWriter])

    def stopping(self) -> bool:
        """Whether SIGTERM came: stop at the next good place, by raising an error whose exit code is TERMINATED."""
        return self._stop.is_set()

    def ask_to_stop(self) -> None:
        """From now on `stopping()` is True."""
        self._stop.set()

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Says how far the job is. Cheap; a full disk is no reason to fail."""
        for writer in self._writers:
            writer.say(Progress(done, total, note))
        if self.progress_file is None:
            return
        fresh = self.progress_file.with_name(f"{self.progress_file.name}.{os.getpid()}.new")
        try:
            fresh.write_text(json.dumps({"done": done, "total": total, "note": note}))
            fresh.replace(self.progress_file)
        except OSError as error:
            _log.warning("could not say how far it is: %s", error)

    def tell_through(self, store: Store) -> None:
        """Where the launcher reads progress in the store, it is told there from now on."""
        if self.progress_prefix and not self._writers:
            self._writers.append(ProgressWriter(store, progress_key(self.progress_prefix, self.index)))

    def close(self) -> None:
        """The last word is written."""
        for writer in self._writers:
            writer.close()


def read_context(environment: Mapping[str, str]) -> JobContext:
    """The context that a launcher put into the environment. Raises NotAJob."""
    index, place = environment.get(names.JOB_INDEX, ""), environment.get(names.COMPLETION_INDEX, "")
    if not index and place.isdigit():
        try:
            indexes = environment.get(names.JOB_INDEXES)
            index = str(ranges_at(indexes, int(place))) if indexes else place
        except (ValueError, IndexError):
            raise NotAJob(f"{names.JOB_INDEXES} has no place {place}: start this through a launcher") from None
    if not index.isdigit():
        raise NotAJob(f"{names.JOB_INDEX} is {index!r}: start this through a launcher, or set it to the shard's number")
    progress_file = environment.get(names.PROGRESS_FILE)
    return JobContext(
        name=environment.get(names.JOB_NAME, ""),
        index=int(index),
        progress_file=Path(progress_file) if progress_file else None,
        progress_prefix=environment.get(names.PROGRESS_PREFIX) or None,
    )


def run_job(main: Callable[[JobContext], None], *, service: str) -> NoReturn:
    """Runs `main` as a job of `service` and ends the process with the exit code that tells the launcher what happened.

    Logs go to stderr, spans to where the environment says, as children of the launcher's.
    """
    setup_logs(service, level=os.environ.get(names.LOG_LEVEL, "INFO"))
    folder = os.environ.get(names.TELEMETRY_FOLDER)
    telemetry = setup(
        service,
        otlp_endpoint=os.environ.get(names.OTLP_ENDPOINT),
        folder=Path(folder) if folder else None,
    )
    with telemetry:
        code = _attempt(main)
    _leave_code(code)
    logging.shutdown()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    # All is committed and told. A library's threads must not change how it ended: gloo's may ask for Python's lock
    # while Python is being taken down, and abort the process for it.
    os._exit(code)


def _attempt(main: Callable[[JobContext], None]) -> int:
    try:
        job = read_context(os.environ)
    except NotAJob as error:
        return _failed(error)

    def on_term(_number: int, _frame: FrameType | None) -> None:
        job.ask_to_stop()

    signal.signal(signal.SIGTERM, on_term)
    tracer = trace.get_tracer("suti.infra.jobs")
    parent = incoming_context({"traceparent": os.environ.get(names.TRACEPARENT, "")})
    with tracer.start_as_current_span(
        "job",
        context=parent,
        kind=SpanKind.CONSUMER,
        attributes={"suti.job": job.name, "suti.shard": job.index},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            main(job)
        except Exception as error:  # noqa: BLE001 - the last resort of the process
            span.record_exception(error)
            span.set_status(StatusCode.ERROR, error.reason if isinstance(error, SutiError) else type(error).__name__)
            return _failed(error)
        finally:
            job.close()
    return ExitCode.OK


def _failed(error: Exception) -> int:
    if isinstance(error, SutiError):
        reason, code = error.reason, int(error.exit_code)
        _log.error("%s: %s", reason, error)
    else:
        reason, code = "UNEXPECTED", _CRASHED
        _log.error("the job crashed", exc_info=error)
    _leave_word(reason, str(error) or type(error).__name__)
    return code


def _leave_code(code: int) -> None:
    """In a gang: tells what torchrun does not hand on."""
    folder, rank = os.environ.get(names.EXIT_FOLDER), os.environ.get(names.RANK)
    if folder and rank:
        with suppress(OSError):
            (Path(folder) / rank).write_text(str(int(code)))


def _leave_word(reason: str, message: str) -> None:
    """Tells the launcher why, where it looks for it."""
    told = os.environ.get(names.TERMINATION_FILE)
    path = Path(told) if told else names.KUBERNETES_TERMINATION_FILE
    if told or path.exists():
        try:
            path.write_text(json.dumps({"reason": reason, "message": message[:2000]}))
        except OSError as failed:
            _log.warning("could not leave word: %s", failed)
