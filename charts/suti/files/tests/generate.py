"""A subject is registered and drawn."""

import io
import os
from pathlib import Path

from PIL import Image, ImageDraw

from suti.client import Options, Suti, Tls
from suti.client.inputs import demonstration
from suti.client.requests.generation import delete_subject, generate, generate_request, register_subject


def disc(size: int) -> bytes:
    """A red disc on a grey ground, as PNG."""
    picture, png = Image.new("RGB", (64, 64), "grey"), io.BytesIO()
    ImageDraw.Draw(picture).ellipse((32 - size, 32 - size, 32 + size, 32 + size), fill="red")
    picture.save(png, "PNG")
    return png.getvalue()


folder = Path(os.environ["TLS"]) if os.environ["TLS"] else None
roots = folder / "ca.crt" if folder else None
tls = None
if folder and roots:
    tls = Tls(
        roots=roots.read_bytes() if roots.exists() else None,
        key=(folder / "tls.key").read_bytes(),
        chain=(folder / "tls.crt").read_bytes(),
    )
options = Options(tls=tls, allow_plaintext=tls is None, token=os.environ.get("TOKENS", "").split(",")[0])
with Suti(os.environ["GENERATION"], options=options) as suti:
    subject = suti.call(register_subject([demonstration(disc(size), "a red disc") for size in (12, 16, 20, 24)]))
    request = generate_request(
        "a red disc on a beach", subject_id=subject.subject_id, model=os.environ["MODEL"], steps=4
    )
    answer = suti.call(generate(request))
    suti.call(delete_subject(subject.subject_id))
print(f"drawn: {len(answer.pictures)} picture, {len(answer.pictures[0].png)} bytes")
