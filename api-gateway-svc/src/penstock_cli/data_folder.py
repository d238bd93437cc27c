"""The data folder: who owns it, where its parts are, and whether it can be written at all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock_cli.refusal import Refusal

FREE_BYTES_MIN = 64 * 1024 * 1024
LOG_BYTES_MAX = 10 * 1024 * 1024
SOCKET_PATH_BYTES_MAX = 100
"""Systems allow 104 to 108 bytes for the path of a Unix socket."""
LAST_LINES_MAX = 12
LAST_BYTES_MAX = 16 * 1024


@dataclass(frozen=True, slots=True)
class DataFolder:
    """`path` is absolute and exists; only the holder of `owned` has one, and who looks at one `in_use`."""

    path: Path

    @property
    def socket(self) -> Path:
        """In the folder, unless its path is too long for a socket: then in the temporary folder, under a name of its own."""
        inside = self.path / "store.sock"
        if len(os.fsencode(inside)) <= SOCKET_PATH_BYTES_MAX:
            return inside
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"penstock-{digest}.sock"

    def log(self, program: str) -> Path:
        return self.path / "logs" / f"{program}.log"


@contextlib.contextmanager
def owned(path: Path) -> Iterator[DataFolder]:
    """Makes the folder and holds it until the end, so that a second `penstock up` cannot run in it."""
    folder = path.expanduser().absolute()
    lock = _open_lock(folder)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
            raise Refusal(
                f"Another penstock (process {owner}) is running on {folder}: stop it with Ctrl-C or "
                f"`kill {owner}`, or give this one its own folder with --data."
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        _require_free_space(folder)
        yield DataFolder(folder)
    finally:
        os.close(lock)


def is_owned(path: Path) -> bool:
    """Whether somebody runs in the folder now."""
    try:
        lock = os.open(path / "up.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def in_use(path: Path) -> DataFolder:
    """That of somebody who runs in it now. Raises Refusal where nobody does."""
    folder = path.expanduser().absolute()
    if not is_owned(folder):
        raise Refusal(f"No penstock runs on {folder}: start `penstock up` there, or name its folder with --data.")
    return DataFolder(folder)


def rotate(log: Path) -> None:
    """Keeps at most two files of about LOG_BYTES_MAX: called whenever a process is started."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))


def cut(log: Path) -> bool:
    """The same under a process that goes on writing to its end: whether it was too long."""
    if not log.exists() or log.stat().st_size <= LOG_BYTES_MAX:
        return False
    shutil.copyfile(log, log.with_suffix(".log.1"))
    os.truncate(log, 0)
    return True


def last_lines(log: Path, after: int) -> str:
    """The end of what was written beyond byte `after`, for a person who wants to know why a process died."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(after, end - LAST_BYTES_MAX))
        lines = file.read(LAST_BYTES_MAX).decode(errors="replace").splitlines()
        return "\n".join(line.rstrip() for line in lines[-LAST_LINES_MAX:])
    return ""


def _open_lock(folder: Path) -> int:
    try:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        return os.open(folder / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Refusal(
            f"The data folder {folder} cannot be written ({reason}): choose another with --data, or make it writable."
        ) from error


def _require_free_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES_MIN:
        raise Refusal(
            f"The disk of {folder} is full ({free // 1024 // 1024} MB free): free at least "
            f"{FREE_BYTES_MIN // 1024 // 1024} MB, or choose another folder with --data."
        )
