"""The endpoints that an operator offers, by name. A recipe names one; where it is, and its key, no caller can say."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from suti.core.errors import PermanentError


class NamedEndpoint(BaseModel):
    """Where requests go, and the key that goes with them, there alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(min_length=1, description="Base URL of an OpenAI-style endpoint, such as http://vllm:8000/v1.")
    key: SecretStr = SecretStr("")


type Endpoints = Mapping[str, NamedEndpoint]

NO_ENDPOINTS: Endpoints = {}


class NoSuchEndpoint(PermanentError):
    """A captioning recipe names an endpoint that the captioning service was not told of."""

    reason = "CAPTIONING_ENDPOINT_UNKNOWN"


def named_endpoint(name: str, endpoints: Endpoints) -> NamedEndpoint:
    """The endpoint of that name. Raises NoSuchEndpoint."""
    if name not in endpoints:
        known = ", ".join(sorted(endpoints)) or "none is set"
        raise NoSuchEndpoint(
            f"captioning.endpoint {name[:64]!r} is no endpoint that captioning knows ({known}): "
            "name one of them, or add it to SUTI_CAPTIONING_ENDPOINTS"
        )
    return endpoints[name]
