"""Where things lie in the store. Every key is built here, so that a listing of this file is a map of the bucket."""

RUNS = "runs/"
SUBJECTS = "subjects/"
MODELS = "models/"
DEAD_LETTERS = "dead/"
REQUESTS = "requests/"
DRAWN = "drawn/"
OPERATIONS = "operations/"
PIPELINE_OPERATIONS = f"{OPERATIONS}P"  # the pipeline service's own: their ids begin so, others' with a ULID's digit
TUNED = "tuned/"
JOBS = "jobs/"
TOMBSTONES = "tombstones/"
PROMOTED_MODEL = "models/promoted.json"  # the apprentice that draws when a request names no model


def run_spec(run_id: str) -> str:
    """The frozen description of a run."""
    return f"{RUNS}{run_id}/run.json"


def run_cancelled(run_id: str) -> str:
    """Exists once somebody asked for the run to stop."""
    return f"{RUNS}{run_id}/cancelled.json"


def run_outcome(run_id: str) -> str:
    """Exists once the run ended, and says how: SUCCEEDED, EMPTY, FAILED or CANCELLED."""
    return f"{RUNS}{run_id}/outcome.json"


def dead_shard(run_id: str, stage_name: str, index: int) -> str:
    """Exists once somebody dropped a shard's dead letter: the run goes on without the shard for good."""
    return f"{shard(run_id, stage_name, index)}dead.json"


def stopped_shard(run_id: str, stage_name: str, index: int) -> str:
    """Exists while somebody wants a shard's work to rest: nobody goes on with it until it is gone."""
    return f"{shard(run_id, stage_name, index)}stopped.json"


def tombstone(tombstone_id: str) -> str:
    """What somebody once wanted out; every stage reads all of them."""
    return f"{TOMBSTONES}{tombstone_id}.json"


def promotion(promotion_id: str) -> str:
    """One promotion of the past: the history of `PROMOTED_MODEL`."""
    return f"{MODELS}promotions/{promotion_id}.json"


def stage(run_id: str, stage_name: str) -> str:
    """All that one stage of a run wrote."""
    return f"{RUNS}{run_id}/{stage_name}/"


def shard(run_id: str, stage_name: str, index: int) -> str:
    """All that one shard of a stage wrote."""
    return f"{stage(run_id, stage_name)}{index:06d}/"


def commit(run_id: str, stage_name: str, index: int) -> str:
    """The object whose existence makes a shard's result true."""
    return f"{shard(run_id, stage_name, index)}commit.json"


def part(run_id: str, stage_name: str, index: int, fence: str, name: str) -> str:
    """A part of a shard's result, under its writer's own fence until committed."""
    return f"{shard(run_id, stage_name, index)}parts/{fence}/{name}"


def scratch(run_id: str, stage_name: str, index: int, name: str) -> str:
    """Unfinished work that may be resumed: a finished expert, a checkpoint. Never read by another stage."""
    return f"{shard(run_id, stage_name, index)}scratch/{name}"


def subject(subject_id: str, name: str) -> str:
    """One object of a registered subject."""
    return f"{SUBJECTS}{subject_id}/{name}"


def dead_letter(letter_id: str) -> str:
    """A message that could not be worked on, with body, reason and trace id."""
    return f"{DEAD_LETTERS}{letter_id}.json"


def request(service: str, request_id: str) -> str:
    """What a service answered to a request id."""
    return f"{REQUESTS}{service}/{request_id}.json"


def drawn(request_id: str, name: str) -> str:
    """What was drawn for a request: its record, and pictures too large for the answer."""
    return f"{DRAWN}{request_id}/{name}"


def job_progress(launcher: str, job_name: str) -> str:
    """Where a job's indexes say how far they are, one object each; deleted with the job."""
    return f"{JOBS}{launcher}/{job_name}/"


def operation(operation_id: str) -> str:
    """A long-running operation's state."""
    return f"{OPERATIONS}{operation_id}.json"


def operation_part(operation_id: str, name: str) -> str:
    """One object that belongs to a long-running operation: what was asked, a piece of its result."""
    return f"{OPERATIONS}{operation_id}/{name}"


def tuned(operation_id: str, name: str) -> str:
    """A file of the weights that a caller had tuned: kept when the operation is forgotten."""
    return f"{TUNED}{operation_id}/{name}"
