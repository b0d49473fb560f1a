"""Where the seven services listen."""

import json
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

from suti.core.errors import BadConfiguration


class Service(StrEnum):
    """The services of Suti. The value is the name in endpoints.json, in spans and in the chart."""

    PIPELINE = "pipeline"
    CLUSTERING = "clustering"
    CAPTIONING = "captioning"
    EXPERTS = "experts"
    FILTERING = "filtering"
    APPRENTICE = "apprentice"
    GENERATION = "generation"


class EndpointUnknown(BadConfiguration):
    """The client was told no address for a service that it is asked to call."""

    reason = "ENDPOINT_UNKNOWN"


class EndpointsUnreadable(BadConfiguration):
    """An endpoints.json is missing or not what it should be."""

    reason = "ENDPOINTS_UNREADABLE"


@dataclass(frozen=True)
class Endpoints:
    """`host:port` of each service; empty for those that will not be called."""

    pipeline: str = ""
    clustering: str = ""
    captioning: str = ""
    experts: str = ""
    filtering: str = ""
    apprentice: str = ""
    generation: str = ""

    @classmethod
    def single(cls, address: str) -> "Endpoints":
        """All services behind one `host:port`, as behind a gateway that routes by path."""
        return cls(**{service.value: address for service in Service})

    @classmethod
    def load(cls, path: Path | str) -> "Endpoints":
        """Read an `endpoints.json` as `suti up` writes it: service names and `host:port`; more is ignored.

        Raises:
            EndpointsUnreadable: there is no such file, or it holds something else.
        """
        try:
            found: object = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise EndpointsUnreadable(f"{path}: {error}; is `suti up` running with this data folder?") from error
        if not isinstance(found, dict):
            raise EndpointsUnreadable(f"{path}: not an object of service names and addresses; start `suti up` anew")
        known = {field.name for field in fields(cls)}
        return cls(**{str(name): str(address) for name, address in found.items() if name in known})

    def of(self, service: Service) -> str:
        """The address of one service.

        Raises:
            EndpointUnknown: there is none.
        """
        address: str = getattr(self, service.value)
        if not address:
            raise EndpointUnknown(f"no address for the {service} service: name one in Endpoints({service}='host:port')")
        return address
