"""Folders in which generated code has its way, and which are gone afterwards, whatever it made of them."""

from __future__ import annotations

import logging
import os
import tempfile
from itertools import islice
from pathlib import Path
from stat import S_ISDIR

PREFIX = "penstock-build-"
ABANDONED_SECONDS = 3600
"""After this, a folder's runner was killed: no test takes so long."""
_AT_ONCE = 1000
_LOG = logging.getLogger(__name__)


def new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def remove_abandoned(newest: Path) -> None:
    """What runners that were killed have left beside this folder, which is in use."""
    for other in _abandoned(newest):
        remove(other)


def holds_more(folder: Path, most: int) -> bool:
    """Than so many files and folders, at any depth; also where it cannot be seen, since nothing honest hides there."""
    seen, waiting = 0, [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    seen += 1
                    if seen > most:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except FileNotFoundError:
            continue
        except OSError:
            return True
    return False


def remove(folder: Path) -> None:
    """Not by shutil.rmtree, which recurses, and stops at a folder that may not be read: each folder within is moved to the
    top and made readable before it is looked into. A few hundred thousand files take seconds: off the loop, please."""
    try:
        top = Path(tempfile.mkdtemp(prefix=PREFIX))
        last, path = 0, folder
        for number in range(1, 1 << 62):
            last = _empty(path, top, last)
            path.rmdir()
            if number > last:
                break
            path = top / str(number)
        top.rmdir()
    except OSError as error:
        _LOG.warning("the folder %s of generated code cannot be removed whole: %s", folder, error)


def _empty(path: Path, top: Path, last: int) -> int:
    """Files go; folders move to `top` under the numbers after `last`. The last of those numbers."""
    while entries := _some(path):
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                last += 1
                Path(entry.path).chmod(0o700)
                Path(entry.path).rename(top / str(last))
            else:
                os.unlink(entry.path)  # noqa: PTH108  # a Path for each of many files would take as long as its removal
    return last


def _some(path: Path) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return list(islice(entries, _AT_ONCE))


def _abandoned(newest: Path) -> list[Path]:
    """Ours alone: in a folder of another user, names may turn into links while we look."""
    latest = newest.stat().st_mtime - ABANDONED_SECONDS
    found = []
    for path in newest.parent.glob(f"{PREFIX}*"):
        try:
            about = path.lstat()
        except FileNotFoundError:
            continue
        if S_ISDIR(about.st_mode) and about.st_uid == os.geteuid() and about.st_mtime < latest:
            found.append(path)
    return found
