"""What a launcher may do in its namespace: the least that the backend needs. Job pods may do nothing at all."""

from collections.abc import Mapping
from typing import Final

# (API group, resource) -> verbs, as in a Role.
RIGHTS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("batch", "jobs"): ("create", "delete", "get", "list", "patch", "watch"),
    ("", "pods"): ("delete", "get", "list", "watch"),  # delete: what hangs is replaced
    ("", "pods/log"): ("get",),
    ("", "events"): ("list",),  # why a job's pods cannot be created
    ("", "services"): ("create", "patch"),  # a gang's pods find one another by one
    ("apps", "deployments"): ("get",),  # the owner of the jobs; by resourceNames, and not needed if its uid is told
}
