"""Plain functions that leave their process otherwise than they found it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from pydantic import BaseModel

from penstock_runner.authoring import BlockingContext


class Seen(BaseModel):
    text: str = ""
    pid: int = 0


class Panic(BaseException):
    """As libraries written in Rust raise it."""


def looks(context: BlockingContext) -> Seen:
    print("can be heard")  # noqa: T201  # what a stage prints is what is tested
    threads = threading.active_count()
    return Seen(text=f"{Path.cwd()} {os.environ.get('LEFT_BEHIND')} {threads}", pid=os.getpid())


def goes_elsewhere(context: BlockingContext) -> Seen:
    os.chdir("/")
    return Seen(pid=os.getpid())


def sets_the_environment(context: BlockingContext) -> Seen:
    os.environ["LEFT_BEHIND"] = "yes"
    return Seen(pid=os.getpid())


def closes_its_output(context: BlockingContext) -> Seen:
    sys.stdout.close()
    return Seen(pid=os.getpid())


def closes_the_files_of_its_output(context: BlockingContext) -> Seen:
    os.close(1)
    os.close(2)
    return Seen(pid=os.getpid())


def sends_its_output_elsewhere(context: BlockingContext) -> Seen:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return Seen(pid=os.getpid())


def leaves_a_thread(context: BlockingContext) -> Seen:
    def goes_on() -> None:
        for _ in range(100):
            time.sleep(0.05)  # noqa: TID251  # it blocks, which is its purpose
            context.log.info("still there")
            context.usage.add(input_tokens=1)

    threading.Thread(target=goes_on).start()
    return Seen(pid=os.getpid())


def leaves_a_child(context: BlockingContext) -> Seen:
    child = subprocess.Popen(["sleep", "1000"])
    return Seen(text=str(child.pid), pid=os.getpid())


def leaves_an_alarm(context: BlockingContext) -> Seen:
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    return Seen(pid=os.getpid())


def ignores_the_end(context: BlockingContext) -> Seen:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return Seen(pid=os.getpid())


def forks(context: BlockingContext) -> Seen:
    """Both processes come back from here."""
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        logging.getLogger("some.library").warning("from the child")
        return Seen(text="of the child", pid=os.getpid())
    os.waitpid(child, 0)
    return Seen(text="of the parent", pid=parent)


def panics(context: BlockingContext) -> Seen:
    raise Panic("at a bad moment")


def puts_too_much(context: BlockingContext) -> Seen:
    context.put_artifact("big", bytes(90 << 20))
    return Seen()


def puts_text(context: BlockingContext) -> Seen:
    context.put_artifact("text.txt", "text")  # type: ignore[arg-type]  # an author's mistake: text where bytes belong
    return Seen()


def says_what_is_no_unicode(context: BlockingContext) -> Seen:
    context.progress(0.5, "caf\udce9.txt")
    context.log.info("caf\udce9.txt")
    return Seen()


def waits_for_a_child_in_a_session_of_its_own(context: BlockingContext) -> Seen:
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    Path(context.project.requirement).write_text(str(child.pid))
    child.wait()
    return Seen()
