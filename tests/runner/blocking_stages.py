"""Plain functions for worker processes: what stages do, and what they do to their process."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from pydantic import BaseModel

from penstock_runner.authoring import BlockingContext, FinalError, Stage, StageStopped, Workflow


class Found(BaseModel):
    text: str = ""
    pid: int = 0


def plain(context: BlockingContext) -> Found:
    context.log.info("looking at %s", context.project.name)
    context.usage.add(input_tokens=3)
    context.usage.add(input_tokens=4, cost_microusd=2)
    context.progress(0.5, "half-way")
    context.progress(None, "nobody knows")
    put = context.put_artifact("notes/a.txt", b"abc")
    assert context.get_artifact("notes/a.txt") == b"abc"
    return Found(text=f"{context.output_of('first', Found).text} {put.size} {context.idempotency_key}", pid=os.getpid())


def reads_another(context: BlockingContext) -> Found:
    return Found(text=context.get_artifact("theirs.txt", of="prj_other").decode())


def first(context: BlockingContext) -> Found:
    return Found(text="hello", pid=os.getpid())


def prints(context: BlockingContext) -> Found:
    print("from Python")  # noqa: T201  # what a stage prints is what is tested
    os.write(1, b"from C\n")
    subprocess.run(["echo", "from a child"], check=True)
    logging.getLogger("some.library").warning("from a library")
    print("without an end", end="")  # noqa: T201  # what a stage prints is what is tested
    return Found(pid=os.getpid())


def prints_much(context: BlockingContext) -> Found:
    for _ in range(64):
        os.write(1, b"x" * (1 << 20))
    return Found()


def raises(context: BlockingContext) -> Found:
    raise ValueError("not yet")


def raises_several(context: BlockingContext) -> Found:
    raise ExceptionGroup("two calls", [OSError("no route"), FinalError("no such account")])


def refuses(context: BlockingContext) -> Found:
    raise FinalError("never")


def asks_wrongly(context: BlockingContext) -> Found:
    return context.output_of("unheard_of", Found)


def crashes(context: BlockingContext) -> Found:
    os.kill(os.getpid(), signal.SIGSEGV)
    return Found()


def exits(context: BlockingContext) -> Found:
    os._exit(3)


def eats_memory(context: BlockingContext) -> Found:
    return Found(text=str(len(bytearray(4 << 30))))


def grows(context: BlockingContext) -> Found:
    return Found(text=str(len(b"x" * (600 << 20))), pid=os.getpid())


def hangs_in_c(context: BlockingContext) -> Found:
    """A loop in C that keeps the interpreter's lock: no Python code of this process runs any more, no handler either."""
    Path(context.project.requirement).write_text(str(os.getpid()))
    deque(itertools.repeat(None), maxlen=0)
    return Found()


def hangs_with_a_child(context: BlockingContext) -> Found:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    Path(context.project.requirement).write_text(str(child.pid))
    child.wait()
    return Found()


def leaves_files(context: BlockingContext) -> Found:
    """In a temporary folder, and has no time to clean up."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "large").write_bytes(b"x" * 1000)
        return hangs_in_c(context)


def cleans_up(context: BlockingContext) -> Found:
    place = Path(context.project.requirement)
    place.write_text("begun")
    try:
        time.sleep(1000)  # noqa: TID251  # it blocks, which is its purpose
    except StageStopped:
        place.write_text("cleaned up")
        raise
    return Found()


WORKFLOWS = (
    Workflow("blocking", "1", (Stage("first", first, Found), Stage("plain", plain, Found))),
    Workflow(
        "hangs",
        "1",
        (Stage("first", first, Found), Stage("hang", hangs_in_c, Found, attempts_max=1, timeout_seconds=0.5)),
    ),
    Workflow("hangs_long", "1", (Stage("hang", hangs_in_c, Found),)),
    Workflow("crashes", "1", (Stage("first", first, Found), Stage("crash", crashes, Found, backoff_seconds=0.1))),
    Workflow("leaves", "1", (Stage("leave", leaves_files, Found),)),
)
