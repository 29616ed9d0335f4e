"""A disk that fills up while it is used."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Small:
    """A disk of its own for a directory; only root can mount one."""

    def __init__(self, place: Path, size: str) -> None:
        self.place = place
        place.mkdir(mode=0o700, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", place], check=True)

    def __enter__(self) -> Small:
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", self.place], check=False)

    def fill(self) -> None:
        with (self.place / "filler").open("wb", buffering=0) as filler:
            block = 1 << 16
            while block:
                try:
                    filler.write(bytes(block))
                except OSError:
                    block >>= 1

    def clear(self) -> None:
        (self.place / "filler").unlink()
