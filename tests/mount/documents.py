"""The blocks of commands and of files in README.md and the man pages, and a shell that runs the commands one by one."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "packaging" / "man").glob("*.[0-9]"))
SHELLS = ("sh", "console")
PROMPT = "$ "
IN_A_FILE = re.compile(r"^//|\s\d\s+\d$")
MARK = "[the command has ended]"


@dataclass(frozen=True)
class Block:
    document: str
    language: str  # "man" in a man page
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        """Document and first line."""
        return f"{self.document}: {self.lines[0]}"

    def commands(self) -> list[tuple[str, list[str]]]:
        """Each command with the output that is shown; without prompts, each line is one."""
        if not any(line.startswith(PROMPT) for line in self.lines):
            return [(line, []) for line in self.lines if not line.startswith("#")]
        found: list[tuple[str, list[str]]] = []
        for line in self.lines:
            if line.startswith(PROMPT):
                found.append((line.removeprefix(PROMPT), []))
            elif found[-1][0].endswith(("\\", "|")) and not found[-1][1]:
                found[-1] = (f"{found[-1][0]}\n{line}", [])
            else:
                found[-1][1].append(line)
        return found


def in_readme() -> Iterator[Block]:
    text = (ROOT / "README.md").read_text()
    for language, body in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block("README.md", language, tuple(body.splitlines()))


def in_man_pages() -> Iterator[Block]:
    for page in PAGES:
        for body in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", page.read_text(), re.MULTILINE | re.DOTALL):
            yield Block(page.name, "man", tuple(body.replace(r"\e", "\\").replace(r"\&", "").splitlines()))


def is_of_commands(block: Block) -> bool:
    """What is in files has no prompt: a page of section 5, a comment of a rule, a line of fstab."""
    if block.language != "man":
        return block.language in SHELLS
    return (any(line.startswith(PROMPT) for line in block.lines)
            or not (block.document.endswith(".5") or IN_A_FILE.search(block.lines[0])))


def every_block() -> list[Block]:
    return [*in_readme(), *in_man_pages()]


def all_blocks() -> list[Block]:
    """Those of commands."""
    return [block for block in every_block() if is_of_commands(block)]


def blocks_of_files(pattern: str) -> list[Block]:
    """Those that are in files, and have a line like this."""
    return [block for block in every_block()
            if not is_of_commands(block) and any(re.search(pattern, line) for line in block.lines)]


class Shell:
    """bash, one command after the other. `places` are names in the documents and what they are here."""

    def __init__(self, environment: dict[str, str], directory: Path, places: dict[str, str]) -> None:
        self._places = places
        self._process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "bash"], env=environment, cwd=directory,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                         text=True)

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def run(self, command: str) -> tuple[list[str], int]:
        """Output, with the names of the documents, and exit status."""
        for name, here in self._places.items():
            command = command.replace(name, here)
        self._process.stdin.write(f"{command}\n{{ printf '\\n%s %s\\n' '{MARK}' \"$?\"; }} 2>&1\n")
        self._process.stdin.flush()
        lines = []
        while not (line := self._process.stdout.readline()).startswith(MARK):
            assert line, f"the shell ended in `{command}`"
            lines.append(line.rstrip("\n"))
        if lines and not lines[-1]:
            lines.pop()  # the newline before the mark
        for name, here in self._places.items():
            lines = [one.replace(here, name) for one in lines]
        return lines, int(line.split()[-1])
