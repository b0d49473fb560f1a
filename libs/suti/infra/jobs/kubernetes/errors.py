"""What can go wrong between a launcher and the API server."""

from typing import ClassVar

from suti.core.errors import BadConfiguration, RetryableError

_UNREADABLE = "unable to convert unstructured object"


class KubernetesUnavailable(RetryableError):
    """The API server did not answer in time, or answered that it cannot just now."""

    reason: ClassVar[str] = "KUBERNETES_UNAVAILABLE"


class KubernetesRefused(BadConfiguration):
    """The API server knows us not, or does not let us do this."""

    reason: ClassVar[str] = "KUBERNETES_REFUSED"
    grpc_code = "PERMISSION_DENIED"


class KubernetesUnreachable(BadConfiguration):
    """There is no way into a cluster: neither a kubeconfig nor a service account."""

    reason: ClassVar[str] = "KUBERNETES_UNREACHABLE"


class JobRefused(BadConfiguration):
    """The API server would not take a job as we wrote it."""

    reason: ClassVar[str] = "JOB_REFUSED"


class BadJobTemplate(BadConfiguration):
    """The description of a launcher's pods cannot be read or used."""

    reason: ClassVar[str] = "JOB_TEMPLATE_INVALID"


class ApiFault(Exception):
    """What the API server answered, or what happened on the way (status 0). Stays inside this package."""

    def __init__(self, status: int, message: str, *, reason: str = "", retry_after_s: float = 0.0) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else message)
        self.status = status
        self.message = message
        self.reason = reason
        self.retry_after_s = retry_after_s

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed later.

        An applied object whose field cannot be read (`cpu: many`) is answered with 500; it is wrong for ever.
        """
        if self.status == 500 and _UNREADABLE in self.message:
            return False
        return self.status in {0, 429} or self.status >= 500
