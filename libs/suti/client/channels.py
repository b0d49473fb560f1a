"""gRPC channels with keep-alive, limits and retries; the same settings for threads and for asyncio."""

import ipaddress
import json

import grpc
import grpc.aio

from suti.client.options import Options
from suti.core.errors import BadConfiguration

_NOT_BY_GRPC = [
    # Done twice, it would be NOT_FOUND.
    {"service": "suti.api.generation.v1.GenerationService", "method": "DeleteSubject"},
    # The client takes streams up again by itself, also in their middle.
    {"service": "suti.api.generation.v1.GenerationService", "method": "GenerateStream"},
    {"service": "suti.api.pipeline.v1.PipelineService", "method": "WatchRun"},
    {"service": "suti.api.apprentice.v1.ApprenticeService", "method": "WatchTraining"},
]
_PING_TIMEOUT_MS = 10_000


class CallInPlaintext(BadConfiguration):
    """A call would leave this machine unencrypted without anybody having asked for that."""

    reason = "CALL_IN_PLAINTEXT"


def open_channel(address: str, options: Options) -> grpc.Channel:
    """A channel for threads. It connects at the first call."""
    if (credentials := _credentials(address, options)) is None:
        return grpc.insecure_channel(address, _arguments(options))
    return grpc.secure_channel(address, credentials, _arguments(options))


def open_aio_channel(address: str, options: Options) -> grpc.aio.Channel:
    """A channel for the running event loop. It connects at the first call."""
    if (credentials := _credentials(address, options)) is None:
        return grpc.aio.insecure_channel(address, _arguments(options))
    return grpc.aio.secure_channel(address, credentials, _arguments(options))


def _credentials(address: str, options: Options) -> grpc.ChannelCredentials | None:
    if options.tls is not None:
        tls = options.tls
        return grpc.ssl_channel_credentials(tls.roots, tls.key, tls.chain)
    if options.allow_plaintext or _is_here(address):
        return None
    raise CallInPlaintext(
        f"{address} is another machine: set Options(tls=Tls()), or allow_plaintext=True to go without "
        "(the suti command: SUTI_TLS=1 or SUTI_TLS_CA=FILE, or SUTI_PLAINTEXT=1)"
    )


def _is_here(address: str) -> bool:
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _arguments(options: Options) -> list[tuple[str, str | int]]:
    arguments: list[tuple[str, str | int]] = [
        ("grpc.keepalive_time_ms", round(options.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", _PING_TIMEOUT_MS),
        ("grpc.max_receive_message_length", options.max_message_bytes),
        ("grpc.max_send_message_length", options.max_message_bytes),
        ("grpc.max_reconnect_backoff_ms", round(options.longest_delay_s * 1000)),
        ("grpc.service_config", _service_config(options)),
    ]
    if options.tls is not None and options.tls.server_name:
        arguments.append(("grpc.ssl_target_name_override", options.tls.server_name))
    return arguments


def _service_config(options: Options) -> str:
    # gRPC repeats the very bytes of a call, so a request_id stays what it was and nothing is done twice.
    if options.attempts < 2:
        return "{}"
    policy = {
        "maxAttempts": min(options.attempts, 5),  # gRPC takes no more
        "initialBackoff": f"{options.first_delay_s:.3f}s",
        "maxBackoff": f"{options.longest_delay_s:.3f}s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy}, {"name": _NOT_BY_GRPC}]})
