"""Temporary folders of what runs here: nothing is left of them, whatever stages made of them and however they ended.

A runner has one folder, which it locks as long as it lives, and its worker processes have folders in it. What nobody locks
any more has lost its runner.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

PREFIX = "penstock-run-"
UNLOCKED_PREFIX = "penstock-new-"
ABANDONED_MAX = 100
"""Folders of other runners that one start looks at."""
PATH_BYTES_MAX = 70
"""Sockets are made in it, multiprocessing's for example, and no system knows one whose path is longer than some 100 bytes."""
_AT_ONCE = 1000
_one_at_a_time = threading.Lock()
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """Everything temporary of this process, and of those that it starts, is made in it. Gives the place where it stands
    beside those of other runners. Where there can be none, all is as it would be without."""
    place, told = Path(tempfile.gettempdir()), os.environ.get("TMPDIR")
    with contextlib.ExitStack() as stack:
        try:
            tempfile.tempdir = os.environ["TMPDIR"] = str(stack.enter_context(_locked(place)))
        except OSError as error:
            _log.warning("No temporary folder of its own can be made in %s: %s", place, error)
        try:
            yield place
        finally:
            tempfile.tempdir = str(place)
            os.environ.pop("TMPDIR", None)
            if told is not None:
                os.environ["TMPDIR"] = told


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[Path]:
    """It has its name only once it is locked, so that nobody takes it for one that is left."""
    new = Path(tempfile.mkdtemp(prefix=UNLOCKED_PREFIX, dir=place))
    lock = os.open(new, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = new.rename(place / new.name.replace(UNLOCKED_PREFIX, PREFIX, 1))
        try:
            if len(os.fsencode(folder)) > PATH_BYTES_MAX:
                raise OSError(f"its path would be longer than {PATH_BYTES_MAX} bytes")
            yield folder
        finally:
            remove(folder)
    finally:
        os.close(lock)


def remove_abandoned(place: Path) -> None:
    """What killed runners have left there. Ours alone: in a folder of another user, names may turn into links while we
    look."""
    with contextlib.suppress(OSError):
        for path in islice(place.glob(f"{PREFIX}*"), ABANDONED_MAX):
            with contextlib.suppress(OSError):
                _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(lock).st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(path)
    finally:
        os.close(lock)


def remove(folder: Path) -> None:
    """Not by shutil.rmtree, which recurses, and stops at a folder that may not be read: each folder within is moved to the
    top and made readable before it is looked into. A few hundred thousand files take seconds: off the loop, please."""
    with _one_at_a_time:
        try:
            if folder.is_symlink() or not folder.exists():
                return
            folder.chmod(0o700)
            top = Path(tempfile.mkdtemp(dir=folder))
            last, number = _empty(folder, top, 0), 1
            while number <= last:
                path = top / str(number)
                last = _empty(path, top, last)
                path.rmdir()
                number += 1
            top.rmdir()
            folder.rmdir()
        except OSError as error:
            _log.warning("the folder %s cannot be removed whole: %s", folder, error)


def _empty(path: Path, top: Path, last: int) -> int:
    """Files go; folders move to `top` under the numbers after `last`. The last of those numbers."""
    while entries := _some(path, top):
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                last += 1
                Path(entry.path).chmod(0o700)
                Path(entry.path).rename(top / str(last))
            else:
                os.unlink(entry.path)  # noqa: PTH108  # a Path for each of many files would take as long as its removal
    return last


def _some(path: Path, top: Path) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return list(islice((entry for entry in entries if entry.path != str(top)), _AT_ONCE))
