"""Disks that fill up, or that the kernel turns read-only, while they are used."""

from __future__ import annotations

import os
import shutil
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


class Failing:
    """A disk of its own for a directory, which the kernel turns read-only at the first error it finds on it, whoever has
    files open on it for writing. There is no way back before it is unmounted and repaired."""

    def __init__(self, place: Path, size: str) -> None:
        self.place, self.image = place, place.with_name(f"{place.name}.img")
        place.mkdir(mode=0o700)
        subprocess.run(["truncate", "-s", size, self.image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)
        self._mount()

    @staticmethod
    def why_not() -> str:
        """"" when there can be one here."""
        return "" if shutil.which("mkfs.ext4") and os.access("/dev/loop-control", os.W_OK) else "no loop devices or no ext4"

    def __enter__(self) -> Failing:
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", self.place], check=False)

    def fail(self) -> None:
        """With every page of it written back, as they are half a minute later at the latest."""
        subprocess.run(["sync", "-f", self.place], check=True)
        device = subprocess.run(["findmnt", "-no", "SOURCE", self.place], check=True, capture_output=True, text=True).stdout
        Path(f"/sys/fs/ext4/{Path(device.strip()).name}/trigger_fs_error").write_text("1")

    def repair(self) -> None:
        """Nothing on it may be open."""
        subprocess.run(["umount", self.place], check=True)
        status = subprocess.run(["e2fsck", "-p", self.image], check=False, stdout=subprocess.DEVNULL).returncode
        assert status in (0, 1), f"e2fsck: {status}"  # 1: repaired
        self._mount()

    def _mount(self) -> None:
        subprocess.run(["mount", "-o", "loop,errors=remount-ro", self.image, self.place], check=True)
