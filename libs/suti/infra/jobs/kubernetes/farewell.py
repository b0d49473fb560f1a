"""What a launcher does for its jobs when the namespace itself is being deleted.

Kubernetes (1.33 and newer) deletes a namespace's pods before all else, and a pod of an Indexed Job that stopped stays
until its successor is there, which a namespace that ends lets nobody make: unless the Job goes, both wait for ever.
"""

import logging

from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.jobs.kubernetes.errors import ApiFault

_ENDS = "is being terminated"

_log = logging.getLogger(__name__)


def delete_jobs_of_an_ending_namespace(api: KubernetesApi, jobs_path: str, *, launcher: str, selector: str) -> bool:
    """Deletes the jobs that the selector finds if their namespace is being deleted; whether it is. Raises nothing."""
    try:
        if not _ends(api, jobs_path, launcher):
            return False
        for page, _ in api.pages(jobs_path, {"labelSelector": selector}):
            for job in page:
                api.delete(f"{jobs_path}/{job['metadata']['name']}", {"propagationPolicy": "Background"})
    except ApiFault as fault:
        _log.warning("cannot delete the jobs of a namespace that ends: %s", fault)
    return True


def _ends(api: KubernetesApi, jobs_path: str, launcher: str) -> bool:
    """Whether nothing new may be made there: asked by a job that is never made."""
    container = {"name": "never", "image": "never"}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{launcher}-never-made"},
        "spec": {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }
    try:
        api.apply(f"{jobs_path}/{launcher}-never-made", job, manager=launcher, dry_run=True)
    except ApiFault as fault:
        return _ENDS in fault.message
    return False
