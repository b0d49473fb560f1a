"""What can go wrong between a launcher and the API server."""

from typing import ClassVar

from suti.core.errors import BadConfiguration, RetryableError, SutiError

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


class JobQuotaUsedUp(RetryableError):
    """The namespace's quota lets nobody make another Job just now."""

    reason: ClassVar[str] = "JOB_QUOTA_USED_UP"


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


def in_our_words(fault: ApiFault, namespace: str) -> SutiError:
    """What an answer of the API server to a launcher of that namespace means."""
    where = f"namespace {namespace}"
    if fault.passing:
        return KubernetesUnavailable(f"{fault}: the call is safe to repeat; check that the API server runs")
    if fault.status == 403 and "exceeded quota" in fault.message:
        return JobQuotaUsedUp(
            f"{fault.message}: it is tried again when others have ended; or raise the quota of {where}"
        )
    if fault.status in (401, 403):
        if "quota" in fault.message or "PodSecurity" in fault.message:
            return JobRefused(f"{fault.message}: change the quota, the policy or the job template of {where}")
        return KubernetesRefused(f"{fault.message}: check the launcher's service account and role in {where}")
    return JobRefused(f"the API server does not take the job ({fault.message}): correct the job template of {where}")
