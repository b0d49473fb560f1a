"""Prepares a store and a bus for the services: `python -m suti.infra.bootstrap`, a Job of the chart. Safe to repeat."""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import Field, PositiveFloat
from pydantic_settings import SettingsConfigDict

from suti.core.errors import RetryableError, SutiError
from suti.infra.logs import setup_logs
from suti.infra.settings import ServiceSettings, read_settings
from suti.infra.store_admin import prepare_bucket
from suti.infra.store_users import Administrator, make_store_users, read_key_pairs

_PAUSE_S = 2.0
_AWS = "https://s3.{region}.amazonaws.com"

_log = logging.getLogger(__name__)


class BootstrapSettings(ServiceSettings):
    """Read once, from the environment (`SUTI_BOOTSTRAP_...`). The store's keys are an administrator's."""

    model_config = SettingsConfigDict(env_prefix="SUTI_BOOTSTRAP_", frozen=True, env_ignore_empty=True)

    patience_s: PositiveFloat = Field(default=300.0, description="How long store and bus may take to answer.")
    bucket: bool = Field(default=True, description="Make the bucket and its rules of expiry.")
    streams: bool = Field(default=True, description="Make the work queue.")
    store_users: Path | None = Field(default=None, description="Folder of the keys of users to make (MinIO).")
    store_user_prefix: str = Field(default="suti", description="What the names of their policies begin with.")


async def bootstrap(settings: BootstrapSettings) -> None:
    """Everything that the settings ask for is there from now on. Raises what the last try failed with."""
    deadline = time.monotonic() + settings.patience_s
    if settings.bucket:
        await _patiently(lambda: asyncio.to_thread(_prepare_bucket, settings), "prepare the bucket", deadline)
    if settings.store_users is not None:
        await _patiently(lambda: asyncio.to_thread(_make_users, settings), "make the store's users", deadline)
    if settings.streams:
        await _patiently(lambda: _make_streams(settings), "make the work queue", deadline)


async def _patiently(step: Callable[[], Awaitable[None]], what: str, deadline: float) -> None:
    """The step is done; what may pass is tried again until the deadline."""
    while True:
        try:
            await step()
        except RetryableError as error:
            if time.monotonic() > deadline:
                raise
            _log.info("cannot %s yet: %s", what, error)
            await asyncio.sleep(_PAUSE_S)
        else:
            _log.info("done: %s", what)
            return


def _prepare_bucket(settings: BootstrapSettings) -> None:
    admin = _administrator(settings)
    prepare_bucket(
        settings.store_url,
        endpoint=admin.endpoint,
        access_key=admin.access_key,
        secret_key=admin.secret_key,
        region=admin.region,
    )


def _make_users(settings: BootstrapSettings) -> None:
    assert settings.store_users is not None  # noqa: S101 - asked by the caller
    make_store_users(
        settings.store_url,
        read_key_pairs(settings.store_users),
        _administrator(settings),
        prefix=settings.store_user_prefix,
    )


def _administrator(settings: BootstrapSettings) -> Administrator:
    region = settings.store_region or "us-east-1"
    access, secret = settings.store_access_key, settings.store_secret_key
    return Administrator(
        endpoint=settings.store_endpoint or _AWS.format(region=region),
        region=region,
        access_key=access.get_secret_value() if access else "",
        secret_key=secret.get_secret_value() if secret else "",
    )


async def _make_streams(settings: BootstrapSettings) -> None:
    async with await settings.connect_bus("suti-bootstrap") as bus:
        await bus.ensure_streams()


def main() -> int:
    """The exit code: that of the error, if any (78: nothing helps until somebody changes a setting)."""
    setup_logs("suti-bootstrap")
    try:
        settings = read_settings(BootstrapSettings)
        setup_logs("suti-bootstrap", json=settings.log_json, level=settings.log_level)
        asyncio.run(bootstrap(settings))
    except SutiError as error:
        _log.error("%s: %s", error.reason, error)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
