"""What must be refused, is: by the API server, the store, the bus and the services."""

import asyncio

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from suti.core import keys
from suti.infra.store import StoreRefused
from tests.charts.rendering import COMPONENTS, LAUNCHERS
from tests.cluster.release.installed import NAME, Release
from tests.cluster.release.kube import Refused
from tests.cluster.release.runs import OneRun, open_bucket

# A method of each service; where it has operations, that of all.
METHODS = {
    "pipeline": "suti.api.pipeline.v1.PipelineService/ListRuns",
    "captioning": "suti.api.captioning.v1.CaptioningService/CaptionPictures",
    "filtering": "suti.api.filtering.v1.FilteringService/ScoreCandidates",
}
ACCOUNTS = (*COMPONENTS, "bootstrap", "experts-job", "apprentice-job")


@pytest.mark.parametrize("account", [name for name in ACCOUNTS if name not in LAUNCHERS])
def test_only_launchers_may_make_jobs(release: Release, account: str) -> None:
    user = f"system:serviceaccount:{release.kube.namespace}:{NAME}-{account}"
    job = ("create", "job", "forged", "--image", "x", "--as", user)

    with pytest.raises(Refused, match="cannot create resource"):
        release.kube.kubectl(*job)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_launcher_may_make_jobs_in_its_own_namespace_alone(release: Release, launcher: str) -> None:
    user = f"system:serviceaccount:{release.kube.namespace}:{NAME}-{launcher}"

    assert release.kube.kubectl("auth", "can-i", "create", "jobs", "--as", user).strip() == "yes"
    for more in (
        ("create", "jobs", "-n", "default"),
        ("create", "pods"),
        ("get", "secrets"),
        ("create", "deployments"),
    ):
        with pytest.raises(Refused):
            release.kube.kubectl("auth", "can-i", *more, "--as", user)


def test_a_pod_that_is_not_restricted_is_refused(release: Release) -> None:
    with pytest.raises(Refused, match="violates PodSecurity"):
        release.kube.kubectl("run", "root", "--image", release.image("light"), "--restart=Never")


def test_a_services_s3_user_stays_below_its_prefixes(release: Release, whole_run: OneRun) -> None:
    with open_bucket(release, user="captioning") as bucket:
        for key in (keys.commit(whole_run.run_id, "filtering", 9), keys.run_spec(whole_run.run_id), "crawls/forged"):
            with pytest.raises(StoreRefused):
                bucket.put(key, b"forged")
    with open_bucket(release, user="crawls") as bucket, pytest.raises(StoreRefused):
        bucket.get(keys.run_spec(whole_run.run_id))


async def test_a_nats_user_stays_within_its_subjects(release: Release) -> None:
    held = release.kube.secret(f"{NAME}-nats-users")
    said: list[str] = []

    async def hear(error: Exception) -> None:
        said.append(str(error).lower())

    with release.kube.forwarded(f"svc/{NAME}-nats", 4222) as port:
        address = f"nats://127.0.0.1:{port}"
        bus = await nats.connect(
            address, user="captioning", password=held["captioning"], error_cb=hear, inbox_prefix="_INBOX_captioning"
        )
        await bus.publish("suti.v1.experts.shard.forged.0", b"")
        await bus.subscribe("_INBOX_experts.>")
        await bus.flush()
        await asyncio.sleep(1)
        await bus.close()
        stranger = Client()
        try:
            with pytest.raises(NatsError):
                await stranger.connect(address, user="captioning", password="guessed", allow_reconnect=False)
        finally:
            await stranger.close()  # refused as it is, it has its socket

    assert any("publish to" in one and "suti.v1.experts.shard.forged.0" in one for one in said), said
    assert any("subscription to" in one and "_inbox_experts.>" in one for one in said), said


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_request_without_a_token_is_refused(release: Release, component: str) -> None:
    program = f"""
import grpc, os
read = lambda name: open(f"/tls/{{name}}", "rb").read()
secure = grpc.ssl_channel_credentials(read("ca.crt"), read("tls.key"), read("tls.crt"))
for token in ("", "guessed", os.environ["SUTI_TOKEN"]):
    with grpc.secure_channel("{NAME}-{component}:50051", secure) as channel:
        metadata = [("authorization", f"Bearer {{token}}")] if token else []
        call = channel.unary_unary("/{METHODS.get(component, "google.longrunning.Operations/GetOperation")}")
        try:
            call(b"", metadata=metadata, timeout=20)
            print("OK")
        except grpc.RpcError as error:
            print(error.code().name)
"""
    first, second, third = release.in_client(program).split()

    assert (first, second) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
    assert third != "UNAUTHENTICATED"


def test_a_client_without_a_certificate_is_refused(release: Release) -> None:
    with pytest.raises(Refused, match="UNAVAILABLE"):
        release.suti("pipeline", "run", "list", environment={"SUTI_TLS_CERT": "", "SUTI_TLS_KEY": ""})
    assert "RUN" in release.suti("pipeline", "run", "list").upper()
