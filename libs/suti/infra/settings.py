"""What every service is told alike. A service's own settings derive from this, with an `env_prefix` of their own."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from suti.core.bucket_access import BucketAccess
from suti.core.errors import BadConfiguration
from suti.core.limits import MESSAGE_BYTES
from suti.core.model_rules import ModelRules
from suti.infra.bus.connection import Bus
from suti.infra.bus.failures import Patience
from suti.infra.bus.worker import Handle, Worker
from suti.infra.dead_letters import DeadLetters
from suti.infra.rpc.security import ServerSecurity
from suti.infra.rpc.server import RpcServer
from suti.infra.store import Store


class SettingWrong(BadConfiguration):
    """A variable of the environment does not say what it should."""

    reason = "SETTING_WRONG"


class ServiceSettings(BaseSettings):
    """Read once in `__main__` and handed down; no other module reads the environment.

    A service derives from it: `model_config = SettingsConfigDict(env_prefix="SUTI_FILTERING_", frozen=True)`.
    """

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    listen: str = Field(default="127.0.0.1:0", description="host:port of the gRPC server; port 0 takes a free one.")
    health_listen: str | None = Field(
        default=None, description="host:port where health alone is answered, in plaintext: for probes that know no TLS."
    )
    port_file: Path | None = Field(default=None, description="Where to write the host:port that is listened on.")
    nats_url: str = Field(default="nats://127.0.0.1:4222", description="NATS servers, separated by commas.")
    nats_user: str | None = None
    nats_password: SecretStr | None = None
    nats_token: SecretStr | None = None
    nats_ca: Path | None = Field(default=None, description="Authority of the servers' certificate; unset: public ones.")
    nats_inbox: str = Field(default="_INBOX", description="Where answers come in; a user's own keeps others from them.")
    nats_replicas: PositiveInt = Field(default=1, description="Servers that keep each ticket.")
    store_url: str = Field(default="file:///var/lib/suti/store", description="file:///folder or s3://bucket/prefix.")
    store_endpoint: str | None = Field(default=None, description="S3 endpoint; unset for AWS.")
    store_region: str | None = None
    store_access_key: SecretStr | None = None
    store_secret_key: SecretStr | None = None
    store_allow_http: bool = Field(default=False, description="S3 without TLS: loopback or a trusted network alone.")
    patience_s: PositiveFloat = Field(
        default=60.0, description="How long NATS, its work queue and the store may take to be there at the start."
    )
    drain_s: PositiveFloat = Field(
        default=25.0, description="Seconds from SIGTERM to exit; below the pod's grace period."
    )
    default_deadline_s: PositiveFloat = Field(default=60.0, description="For calls that come without a deadline.")
    max_message_bytes: PositiveInt = Field(default=MESSAGE_BYTES, description="Largest gRPC message, each way.")
    max_calls: PositiveInt = Field(default=256, description="Calls and streams answered at once; more are refused.")
    reflection: bool = Field(default=True, description="Whether the API describes itself to who asks (grpcurl).")
    allow_plaintext: bool = Field(default=False, description="Listen without TLS on other addresses than loopback.")
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = Field(
        default=None, description="Clients must show a certificate of this authority (mTLS)."
    )
    tokens: SecretStr | None = Field(default=None, description="Bearer tokens that may call, separated by commas.")
    otlp_endpoint: str | None = Field(
        default=None, description="OTLP gRPC collector; unset: spans go to telemetry_folder."
    )
    telemetry_folder: Path | None = Field(default=None, description="Where spans are written, a file per process.")
    prometheus_port: int | None = Field(default=None, ge=0, le=65535, description="Port of /metrics; unset: none.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_json: bool | None = Field(default=None, description="Unset: JSON unless stderr is a terminal.")
    models_path: str = Field(
        default_factory=lambda: os.environ.get("SUTI_MODELS_PATH", ""),
        description="Folders with models, separated as PATH is. Unset: SUTI_MODELS_PATH, which is for all services.",
    )
    models_anywhere: bool = Field(
        default=False, description="Callers may name folders of models by path. For one's own machine alone."
    )
    model_downloads: bool = Field(default=False, description="Callers may name models that a hub is asked for.")
    torch_threads: PositiveInt = 1
    ack_wait_s: PositiveFloat = Field(
        default=30.0, description="A ticket whose worker was silent so long goes to another."
    )
    max_deliveries: PositiveInt = Field(
        default=5, description="After so many crashes and errors that nobody foresaw a ticket is a dead letter."
    )
    retry_s: NonNegativeFloat = Field(
        default=1.0, description="Wait before the first retry; later ones wait longer, up to 60 times as long."
    )
    retry_for_s: PositiveFloat = Field(
        default=6 * 3600.0, description="So long failures that pass by themselves (a server is down) are tried again."
    )
    refusals: PositiveInt = Field(
        default=3, description="After so many hosts found their configuration wrong a ticket is a dead letter."
    )
    refused_for_s: PositiveFloat = Field(
        default=1800.0, description="The same after this time, where there are not so many hosts."
    )

    def store_access(self) -> BucketAccess:
        """How the store's bucket is entered."""
        return BucketAccess(
            endpoint=self.store_endpoint,
            region=self.store_region,
            access_key=revealed(self.store_access_key),
            secret_key=revealed(self.store_secret_key),
            allow_http=self.store_allow_http,
        )

    def open_store(self) -> Store:
        """The store that these settings name. Raises BadStoreUrl."""
        return Store.open(self.store_url, **asdict(self.store_access()))

    async def connect_bus(self, name: str, *, timeout_s: float = 30.0) -> Bus:
        """The bus that these settings name. Raises BusUnavailable, BusRefused."""
        return await Bus.connect(
            self.nats_url,
            name=name,
            user=self.nats_user,
            password=revealed(self.nats_password),
            token=revealed(self.nats_token),
            replicas=self.nats_replicas,
            ca=self.nats_ca,
            inbox=self.nats_inbox,
            timeout_s=timeout_s,
        )

    def make_server(self) -> RpcServer:
        """A gRPC server as these settings want it, not yet started. Raises BadConfiguration."""
        return RpcServer(
            self.listen,
            health_address=self.health_listen,
            security=self.server_security(),
            reflection=self.reflection,
            max_message_bytes=self.max_message_bytes,
            max_calls=self.max_calls,
            default_deadline_s=self.default_deadline_s,
        )

    def make_worker(
        self,
        bus: Bus,
        store: Store,
        *,
        stage: str,
        handle: Handle,
        concurrency: int = 1,
        outlives_worker: bool = False,
    ) -> Worker:
        """A taker of one stage's tickets as these settings want it, not yet started."""
        return Worker(
            bus,
            stage=stage,
            handle=handle,
            dead_letters=DeadLetters(store),
            concurrency=concurrency,
            ack_wait_s=self.ack_wait_s,
            patience=self.patience(),
            drain_s=self.drain_s,
            outlives_worker=outlives_worker,
        )

    def patience(self) -> Patience:
        """How much a ticket may go through before it is a dead letter."""
        return Patience(
            crashes=self.max_deliveries,
            retry_for_s=self.retry_for_s,
            refusals=self.refusals,
            refused_for_s=self.refused_for_s,
            backoff_s=(self.retry_s, self.retry_s * 5, self.retry_s * 20, self.retry_s * 60),
        )

    def model_rules(self) -> ModelRules:
        """Which models callers may name."""
        return ModelRules(anywhere=self.models_anywhere, downloads=self.model_downloads)

    def server_security(self) -> ServerSecurity:
        """How the gRPC server protects itself. Raises BadConfiguration."""
        return ServerSecurity.read(
            certificate=self.tls_certificate,
            key=self.tls_key,
            client_ca=self.tls_client_ca,
            tokens=revealed(self.tokens) or "",
            allow_plaintext=self.allow_plaintext,
        )


def read_settings[Settings: ServiceSettings](kind: type[Settings]) -> Settings:
    """What the environment says. Raises SettingWrong, which names each variable, and no value: it may be a secret."""
    try:
        return kind()
    except SettingsError as error:  # not the JSON that it should be
        raise SettingWrong(f"{error}: correct it") from None
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        wrong = [f"{prefix}{'.'.join(map(str, one['loc']))}".upper() + f": {one['msg']}" for one in error.errors()]
        raise SettingWrong(
            f"{'; '.join(wrong)}: correct the environment (the chart: settings of the service)"
        ) from None


def revealed(secret: SecretStr | None) -> str | None:
    """The secret itself, for whoever presents it."""
    return secret.get_secret_value() if secret is not None else None
