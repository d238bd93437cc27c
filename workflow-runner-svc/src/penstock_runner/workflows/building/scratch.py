"""Folders in which generated code has its way."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PREFIX = "penstock-build-"


def new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix=PREFIX))


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
