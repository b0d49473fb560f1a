"""The committed code in `suti.api` is what the protos say."""

import filecmp
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def _files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.suffix in {".py", ".pyi"}}


def test_the_committed_code_is_what_the_protos_generate(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "scripts/generate_protos.py", str(tmp_path)], cwd=ROOT, check=True)

    committed, fresh = ROOT / "libs" / "suti" / "api", tmp_path / "suti" / "api"
    names = _files(fresh)
    assert _files(committed) == names, "run `make protos` and commit what it writes"
    _, differing, unreadable = filecmp.cmpfiles(committed, fresh, [str(name) for name in names], shallow=False)
    assert (differing, unreadable) == ([], []), "run `make protos` and commit what it writes"


def test_each_generated_module_lies_where_its_proto_package_says() -> None:
    for proto in (ROOT / "protos").rglob("*.proto"):
        package = ".".join(proto.relative_to(ROOT / "protos").parent.parts)
        assert f"\npackage {package};\n" in proto.read_text(encoding="utf-8")
        stem = proto.relative_to(ROOT / "protos").with_suffix("")
        assert (ROOT / "libs" / f"{stem}_pb2.py").is_file()
