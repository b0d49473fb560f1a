"""What a launcher may do in its namespace: the least that the backend needs. Job pods may do nothing at all.

The right to Jobs is the large one: whoever may make Jobs says what their pods run, with which labels, by which service
account and with which Secrets of the namespace (docs/security.md).
"""

from collections.abc import Mapping
from typing import Final

# (API group, resource) -> verbs, as in a Role.
RIGHTS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("batch", "jobs"): ("create", "delete", "get", "list", "patch", "watch"),
    ("", "pods"): ("delete", "list", "watch"),  # delete: what hangs is replaced
    ("", "events"): ("list",),  # why a job's pods cannot be created
    ("apps", "deployments"): ("get",),  # the owner of the jobs; by resourceNames, and not needed if its uid is told
}
