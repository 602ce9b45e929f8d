"""Disks that can be full: file systems in memory, of a fixed size, under the stores' folders.

Only root may mount one, so that for anybody else these faults are counted as not run.
"""

import asyncio
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from testkit.faults.cycle import Fault, Scene

PARTS = ("kafka", "postgres")
_SIZE = "2g"
_FULL_SECONDS = 3.0
_SETTLED_SECONDS = 1.5  # until what a full disk has killed is dead
_LOOKS = 3


@contextmanager
def small_disks(home: Path) -> Iterator[Mapping[str, Path]]:
    """Mount a small disk for each store under the stack's home; yield none where that is refused."""
    mounted: dict[str, Path] = {}
    try:
        for part in PARTS:
            folder = home / part
            folder.mkdir(parents=True, exist_ok=True)
            if not _run("mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0700", "faults", folder):
                break
            mounted[part] = folder
        yield mounted
    finally:
        for folder in mounted.values():
            _run("umount", "--lazy", folder)


def fill_disk(part: str) -> Fault:
    """Return the fault that leaves a store without a free block for some seconds."""

    async def strike(scene: Scene) -> None:
        folder = scene.ground.disks.get(part)
        if folder is None:
            scene.notes.left_undone.append(f"full disk of {part}: no right to mount a small one")
            return
        filler = folder / "filler"
        _fill(filler)
        await asyncio.sleep(_FULL_SECONDS)
        filler.unlink()
        for _ in range(_LOOKS):
            await asyncio.sleep(_SETTLED_SECONDS)
            await asyncio.to_thread(scene.ground.stack.start_part, part)
        scene.interrupted("kafka" if part == "kafka" else "postgres")

    return strike


def _fill(filler: Path) -> None:
    """Take every block that is free; what is freed a moment later is taken as well."""
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        end = 0
        while free := _free_bytes(descriptor):
            os.posix_fallocate(descriptor, end, free)
            end += free
    except OSError:
        pass  # somebody else took the last blocks between our look and our claim
    finally:
        os.close(descriptor)


def _free_bytes(descriptor: int) -> int:
    found = os.fstatvfs(descriptor)
    return found.f_bavail * found.f_frsize


def _run(*command: str | Path) -> bool:
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0
