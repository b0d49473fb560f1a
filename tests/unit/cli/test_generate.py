"""`suti generate` against a small gRPC server on a free loopback port."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import typer
from typer.testing import CliRunner

from suti.api.generation.v1 import generation_pb2 as pb
from suti.api.generation.v1 import generation_pb2_grpc
from suti.api.types.v1.types_pb2 import DrawnPicture
from suti.cli.generate import generate


class Draws(generation_pb2_grpc.GenerationServiceServicer):
    """One picture in the answer, one that lies in the store."""

    def GenerateStream(self, request: pb.GenerateRequest, context: grpc.ServicerContext) -> Iterator[pb.GenerateEvent]:
        pictures = [DrawnPicture(png=b"sent", seed=1), DrawnPicture(store_key="drawn/r/01.png", seed=2)]
        yield pb.GenerateEvent(result=pb.GenerateResponse(pictures=pictures, provenance_id="0123456789"))

    def ReadPicture(self, request: pb.ReadPictureRequest, context: grpc.ServicerContext) -> pb.ReadPictureResponse:
        return pb.ReadPictureResponse(png=request.store_key.encode())


def test_pictures_that_an_answer_only_names_are_fetched_and_written_too(tmp_path: Path) -> None:
    server = grpc.server(ThreadPoolExecutor(2))
    generation_pb2_grpc.add_GenerationServiceServicer_to_server(
        Draws(),  # pyright: ignore[reportAbstractUsage] - the rest stays unimplemented
        server,
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    app = typer.Typer()
    app.command()(generate)
    try:
        CliRunner().invoke(
            app, ["a mug", "--server", f"127.0.0.1:{port}", "--out", str(tmp_path)], catch_exceptions=False
        )
    finally:
        server.stop(None)

    assert (tmp_path / "01234567-00.png").read_bytes() == b"sent"
    assert (tmp_path / "01234567-01.png").read_bytes() == b"drawn/r/01.png"
