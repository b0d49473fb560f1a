"""`suti run report` on a bucket, with the keys that a platform team would use: the pipeline's, and no more rights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from suti.infra.store_users import Administrator, KeyPair, make_store_users
from tests.servers.minio import MinioServer
from tests.stored_runs import grouped_run

BUCKET, PREFIX = "reported", "prod"
PIPELINE = KeyPair("reads-for-reports", "secret-secret")


def report(run: str, out: Path, server: MinioServer, *, secret: str = PIPELINE.secret_key, bucket: str = BUCKET) -> str:
    """What the command says, in a process of its own that knows the store by variables alone."""
    environment = {
        **os.environ,
        "SUTI_STORE_URL": f"s3://{bucket}/{PREFIX}",
        "SUTI_STORE_ENDPOINT": server.endpoint,
        "SUTI_STORE_REGION": "us-east-1",
        "SUTI_STORE_ALLOW_HTTP": "true",
        "SUTI_STORE_ACCESS_KEY": PIPELINE.access_key,
        "SUTI_STORE_SECRET_KEY": secret,
    }
    command = [sys.executable, "-m", "suti.cli.main", "run", "report", run, "--out", str(out)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=150, env=environment, check=False)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.stdout if ended.returncode == 0 else ended.stderr


@pytest.mark.timeout(400)
def test_the_pipelines_rights_suffice_for_a_report_and_wrong_keys_are_told(
    minio_server: MinioServer, tmp_path: Path
) -> None:
    run = grouped_run(minio_server.new_store(BUCKET, prefix=PREFIX))
    admin = Administrator(minio_server.endpoint, minio_server.access_key, minio_server.secret_key)
    make_store_users(f"s3://{BUCKET}/{PREFIX}", {"pipeline": PIPELINE}, admin)

    said = report(run, tmp_path / "out", minio_server)

    assert "report.html" in said
    facts = json.loads((tmp_path / "out" / "report.json").read_text())
    assert facts["stages"]["grouping"]["dropped_by_reason"] == {"DUPLICATE_NEAR": 3}
    assert "STORE_REFUSED" in report(run, tmp_path / "refused", minio_server, secret="wrong-secret")
    assert not (tmp_path / "refused").exists()
