"""What a launcher may do in its namespace: the least that the backend needs. Job pods may do nothing at all.

Whoever may make Jobs can give their pods any label, so a right to network policies adds nothing that it could not do.
"""

from collections.abc import Mapping
from typing import Final

# (API group, resource) -> verbs, as in a Role.
RIGHTS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("batch", "jobs"): ("create", "delete", "get", "list", "patch", "watch"),
    ("", "pods"): ("delete", "get", "list", "watch"),  # delete: what hangs is replaced
    ("", "pods/log"): ("get",),
    ("", "events"): ("list",),  # why a job's pods cannot be created
    ("apps", "deployments"): ("get",),  # the owner of the jobs; by resourceNames, and not needed if its uid is told
}

# Besides, for whoever launches gangs of several pods.
GANG_RIGHTS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("", "services"): ("create", "patch"),  # a gang's pods find one another by one
    ("networking.k8s.io", "networkpolicies"): ("create", "patch"),  # and may then talk to one another, and no others
}
