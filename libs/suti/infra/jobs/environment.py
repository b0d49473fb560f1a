"""What a job's process is told, and where it answers: the part of the contract that both backends share."""

from collections.abc import Mapping
from pathlib import Path

from suti.infra.jobs.port import JobSpec

JOB_NAME = "SUTI_JOB_NAME"
JOB_INDEX = "SUTI_JOB_INDEX"
COMPLETION_INDEX = "JOB_COMPLETION_INDEX"  # Kubernetes' own: the place among the job's indexes
JOB_INDEXES = "SUTI_JOB_INDEXES"  # all indexes of the job, `0-3,7`
TRACEPARENT = "TRACEPARENT"
PROGRESS_FILE = "SUTI_PROGRESS_FILE"  # JSON {done, total, note}; replaced whole
PROGRESS_PREFIX = "SUTI_PROGRESS_PREFIX"  # where in the store, if there is no such file
TERMINATION_FILE = "SUTI_TERMINATION_FILE"  # JSON {reason, message} of the error that ended it
EXIT_FOLDER = "SUTI_EXIT_FOLDER"  # in a gang: each process leaves its exit code in a file named by its rank
RANK = "RANK"  # torchrun's own
TELEMETRY_FOLDER = "SUTI_TELEMETRY_FOLDER"
OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
LOG_LEVEL = "SUTI_LOG_LEVEL"

KUBERNETES_TERMINATION_FILE = Path("/dev/termination-log")


def gang_command(spec: JobSpec, *, pods: int, processes: int, meet_at: str = "") -> tuple[str, ...]:
    """What starts one pod's part of a gang (see `suti.infra.jobs.gang_entry`); all of it where nothing is to meet."""
    meeting = (f"--pods={pods}", f"--meet-at={meet_at}") if meet_at else ()
    entry = "suti.infra.jobs.gang_entry"
    return (spec.command[0], "-m", entry, *meeting, f"--processes={processes}", "--", *spec.command[2:])


def of_index(spec: JobSpec, index: int, *, progress_file: str, termination_file: str) -> Mapping[str, str]:
    """The environment of one index's process, on top of the machine's."""
    return {
        **spec.environment,
        JOB_NAME: spec.name,
        JOB_INDEX: str(index),
        COMPLETION_INDEX: str(index),
        PROGRESS_FILE: progress_file,
        TERMINATION_FILE: termination_file,
    }
