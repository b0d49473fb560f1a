"""`suti generate` against a small gRPC server on a free loopback port."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
import typer
from typer.testing import CliRunner, Result

from suti.api.generation.v1 import generation_pb2 as pb
from suti.api.generation.v1 import generation_pb2_grpc
from suti.api.types.v1.types_pb2 import DrawnPicture, ModelRef
from suti.cli.generate import generate
from suti.core.errors import InvalidArgument


class Echoes(generation_pb2_grpc.GenerationServiceServicer):
    """Keeps what it is asked for and answers as a cascade does."""

    asked: pb.GenerateRequest

    def GenerateStream(self, request: pb.GenerateRequest, context: grpc.ServicerContext) -> Iterator[pb.GenerateEvent]:
        self.asked = request
        used = [ModelRef(name=name, sha256=64 * "a") for name in request.enlarge_with]
        yield pb.GenerateEvent(
            result=pb.GenerateResponse(
                pictures=[DrawnPicture(png=one.content) for one in request.pictures],
                enlarged_with=used,
                provenance_id="0123456789",
            )
        )


class Draws(generation_pb2_grpc.GenerationServiceServicer):
    """One picture in the answer, one that lies in the store."""

    def GenerateStream(self, request: pb.GenerateRequest, context: grpc.ServicerContext) -> Iterator[pb.GenerateEvent]:
        pictures = [DrawnPicture(png=b"sent", seed=1), DrawnPicture(store_key="drawn/r/01.png", seed=2)]
        yield pb.GenerateEvent(result=pb.GenerateResponse(pictures=pictures, provenance_id="0123456789"))

    def ReadPicture(self, request: pb.ReadPictureRequest, context: grpc.ServicerContext) -> pb.ReadPictureResponse:
        return pb.ReadPictureResponse(png=request.store_key.encode())


@contextmanager
def serving(servicer: generation_pb2_grpc.GenerationServiceServicer) -> Generator[str]:
    """Its address."""
    server = grpc.server(ThreadPoolExecutor(2))
    generation_pb2_grpc.add_GenerationServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)


def invoked(address: str, *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(generate)
    return CliRunner().invoke(app, [*arguments, "--server", address], catch_exceptions=False)


def test_a_picture_is_sent_to_be_enlarged_by_one_model_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "small.png").write_bytes(b"small")
    servicer = Echoes()  # pyright: ignore[reportAbstractUsage] - the rest stays unimplemented

    with serving(servicer) as address:
        said = invoked(
            address,
            *("--picture", str(tmp_path / "small.png"), "--enlarge-with", "one", "--enlarge-with", "two"),
            *("--noise-level", "5", "--out", str(tmp_path / "out")),
        )

    asked = servicer.asked
    assert (list(asked.enlarge_with), asked.noise_level) == (["one", "two"], 5)
    assert [one.content for one in asked.pictures] == [b"small"]
    assert (asked.prompt, asked.count) == ("", 0)
    assert "by one (aaaaaaaaaaaa) and two (aaaaaaaaaaaa)" in said.output
    assert (tmp_path / "out" / "01234567-00.png").read_bytes() == b"small"


def test_pictures_to_enlarge_and_pictures_of_a_subject_do_not_go_together(tmp_path: Path) -> None:
    (tmp_path / "small.png").write_bytes(b"small")
    both = ("--picture", str(tmp_path / "small.png"), "--like", str(tmp_path / "small.png"))

    with pytest.raises(InvalidArgument, match="leave out one"):
        invoked("127.0.0.1:1", "a mug", *both)


def test_pictures_that_an_answer_only_names_are_fetched_and_written_too(tmp_path: Path) -> None:
    with serving(Draws()) as address:  # pyright: ignore[reportAbstractUsage] - the rest stays unimplemented
        invoked(address, "a mug", "--out", str(tmp_path))

    assert (tmp_path / "01234567-00.png").read_bytes() == b"sent"
    assert (tmp_path / "01234567-01.png").read_bytes() == b"drawn/r/01.png"
