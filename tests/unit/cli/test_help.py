import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import typer

from suti.cli.main import COMMANDS

HEAVY = ("torch", "diffusers", "transformers", "open_clip", "daft", "pyarrow", "opentelemetry", "numpy")


def told(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, group
    for inner, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{name} {inner}")


def all_commands() -> list[tuple[str, Any]]:
    return [
        found
        for name in COMMANDS
        for found in commands(typer.main.get_command(import_module(f"suti.cli.{name}").app), name)
    ]


def test_the_list_of_commands_is_there_at_once_and_loads_none_of_them() -> None:
    program = (
        "import sys; sys.argv = ['suti', '--help']\n"
        "from suti.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('loaded:', *sorted(name.partition('.')[0] for name in sys.modules))\n"
        "print('commands:', *sorted(name for name in sys.modules if name.startswith('suti.cli.')))\n"
    )

    said = told(program)

    loaded = next(line for line in said.splitlines() if line.startswith("loaded:")).split()
    assert not {*HEAVY, "grpc", "google", "pydantic", "psutil", "PIL"} & set(loaded)
    assert said.splitlines()[-1] == "commands: suti.cli.main"
    for name, line in COMMANDS.items():
        assert name in said
        assert line.split()[0] in said


def test_the_help_of_no_command_waits_for_a_heavy_library() -> None:
    program = (
        "import sys\n"
        "from importlib import import_module\n"
        f"for name in {list(COMMANDS)!r}: import_module(f'suti.cli.{{name}}')\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )

    assert not set(HEAVY) & set(told(program).split())


@pytest.mark.parametrize(("name", "command"), all_commands())
def test_every_command_and_every_option_says_what_it_is_for(name: str, command: Any) -> None:
    said = (command.help or "").strip()

    assert said, name
    assert said[0].isupper()
    for option in command.params:
        assert (getattr(option, "help", "") or "").strip(), f"suti {name}: {option.name}"


def test_what_a_command_says_of_itself_is_what_the_list_says_of_it() -> None:
    groups = dict(all_commands())

    for name in ("run", "dead", "crawl", "models", "subject"):
        assert groups[name].help.strip() == COMMANDS[name]
