"""Labels and annotations that we, the Job controller and Kueue put on jobs and pods."""

import hashlib
import json

from suti.infra.jobs.port import JobSpec

MANAGED_BY = "app.kubernetes.io/managed-by"
PART_OF = "app.kubernetes.io/part-of"

DIGEST = "suti.dev/work-digest"  # of command and indexes: whether a job of the same name is the same job
INDEXES = "suti.dev/indexes"  # the shard of each completion index, as ranges
ATTEMPTS = "suti.dev/attempts-per-index"
GANG = "suti.dev/gang"  # of a job, an annotation: pods that do the one index together; of a pod, a label: it is one
IN_A_GANG = "true"
CANCELLED = "suti.dev/cancelled"  # when: somebody wants the job to end

JOB_NAME = "batch.kubernetes.io/job-name"
POSITION = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"  # failed pods of the index before this one
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"  # stopped ones
QUEUE = "kueue.x-k8s.io/queue-name"


def work_digest(spec: JobSpec) -> str:
    """Equal for jobs that do the same work."""
    return hashlib.sha256(json.dumps([spec.command, spec.indexes]).encode()).hexdigest()[:32]
