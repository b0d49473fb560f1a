"""The client is small: what an internal caller installs and imports carries no models."""

import subprocess
import sys

HEAVY = ["torch", "numpy", "pydantic", "opentelemetry", "nats", "obstore", "PIL", "diffusers"]


def test_importing_the_client_loads_nothing_heavy() -> None:
    code = f"import sys, suti.client; print([name for name in {HEAVY} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
