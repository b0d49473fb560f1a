"""Caches what the API servers of Kubernetes 1.31 to 1.34 accept: the definitions of their OpenAPI description.

    python scripts/kubernetes_schemas.py            fetches what is missing (the Go module k8s.io/kubernetes; needs Go)
    python scripts/kubernetes_schemas.py --cached   never fetches; fails if something is missing

Prints the folder. It lies under ${XDG_CACHE_HOME:-~/.cache}/suti/kubernetes, a file `1.31.json` a version.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RELEASES = {"1.31": "v1.31.0", "1.32": "v1.32.0", "1.33": "v1.33.0", "1.34": "v1.34.0"}
FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "suti" / "kubernetes"


def main() -> int:
    """Exit code 1 if a version is missing and cannot be had."""
    missing = {version: release for version, release in RELEASES.items() if not (FOLDER / f"{version}.json").exists()}
    go = shutil.which("go")
    if missing and ("--cached" in sys.argv or go is None):
        sys.stderr.write(
            f"no schemas of Kubernetes {', '.join(missing)} in {FOLDER}: run scripts/kubernetes_schemas.py (needs Go)\n"
        )
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    for version, release in missing.items():
        sys.stderr.write(f"fetching the schemas of Kubernetes {release} ...\n")
        _fetch(str(go), release, FOLDER / f"{version}.json")
    sys.stdout.write(f"{FOLDER}\n")
    return 0


def _fetch(go: str, release: str, to: Path) -> None:
    with tempfile.TemporaryDirectory(dir=to.parent) as cache:
        environment = os.environ | {"GOMODCACHE": cache, "GOFLAGS": "-modcacherw"}
        command = [go, "mod", "download", "-json", f"k8s.io/kubernetes@{release}"]
        answer = subprocess.run(command, env=environment, cwd=cache, check=True, capture_output=True)  # noqa: S603 - Go, of a name of ours
        swagger = Path(json.loads(answer.stdout)["Dir"]) / "api" / "openapi-spec" / "swagger.json"
        fresh = to.with_suffix(".new")
        fresh.write_text(json.dumps({"definitions": json.loads(swagger.read_bytes())["definitions"]}))
        fresh.replace(to)


if __name__ == "__main__":
    sys.exit(main())
