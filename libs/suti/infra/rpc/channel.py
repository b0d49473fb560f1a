"""Channels to other services: keep-alive, limits, retries while a server is away, deadlines, the trace."""

import json

import grpc
import grpc.aio

from suti.core.limits import MESSAGE_BYTES
from suti.infra.rpc.calls import AsyncCalls, SyncCalls
from suti.infra.rpc.security import ChannelSecurity

# gRPC itself repeats a call that never reached a handler, or that the server said it could not take just now.
_SERVICE_CONFIG = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "0.2s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)


def open_channel(
    target: str,
    *,
    security: ChannelSecurity | None = None,
    default_deadline_s: float = 60.0,
    max_message_bytes: int = MESSAGE_BYTES,
) -> grpc.aio.Channel:
    """A channel to `host:port` for asyncio. Calls raise grpc.RpcError: see `error_from_rpc`.

    Single answers without a deadline get `default_deadline_s`; streams get none. Raises PlaintextRefused.
    """
    security = security or ChannelSecurity()
    calls = AsyncCalls.all(target=target, token=security.token, default_deadline_s=default_deadline_s)
    options = _options(max_message_bytes)
    credentials = security.credentials(target)
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options, interceptors=calls)
    return grpc.aio.secure_channel(target, credentials, options=options, interceptors=calls)


def open_sync_channel(
    target: str,
    *,
    security: ChannelSecurity | None = None,
    default_deadline_s: float = 60.0,
    max_message_bytes: int = MESSAGE_BYTES,
) -> grpc.Channel:
    """The same without asyncio."""
    security = security or ChannelSecurity()
    options = _options(max_message_bytes)
    credentials = security.credentials(target)
    if credentials is None:
        channel = grpc.insecure_channel(target, options=options)
    else:
        channel = grpc.secure_channel(target, credentials, options=options)
    return grpc.intercept_channel(
        channel, SyncCalls(target=target, token=security.token, default_deadline_s=default_deadline_s)
    )


def _options(max_message_bytes: int) -> list[tuple[str, str | int]]:
    return [
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
