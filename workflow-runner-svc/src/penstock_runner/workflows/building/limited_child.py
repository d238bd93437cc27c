"""The child's first lines: sets limits on itself, shuts itself in, imports the package's modules, then runs pytest.

Started by path, it imports nothing of ours.
limited_child.py SECONDS MEMORY_BYTES confined|unconfined MODULE,MODULE… PYTEST_ARGUMENT…

Landlock, a part of the kernel, leaves it the files of Python and its own folder. A seccomp filter takes from it what Landlock does
not govern: sockets, other processes, signals, the owners and modes of files. Neither needs a right of root or a
namespace. why_unconfined says where they are missing.
"""

import contextlib
import ctypes
import errno
import importlib
import math
import os
import platform
import resource
import runpy
import signal
import struct
import sys
import sysconfig
import traceback

FILE_BYTES_MAX = 64 * 1024 * 1024
OPEN_FILES_MAX = 256
GRACE_SECONDS = 5
NOT_IMPORTED = 64
"""The exit code when a module cannot be imported; pytest's own end at 5."""

PR_SET_PDEATHSIG, PR_GET_SECCOMP, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 21, 22, 38
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_ABI_MIN = 3
"""Linux 6.2: before it, Landlock let a file be emptied anywhere."""
READ_FILE, READ_DIR, WRITE_FILE, TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 14
READ = READ_FILE | READ_DIR
# Remove and make folders, files, symbolic links and pipes, and move them; no devices and no sockets.
WRITE = READ | WRITE_FILE | TRUNCATE | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 12 | 1 << 13

AUDIT_ARCH_X86_64 = 0xC000003E
X32_SYSCALLS = 0x40000000
CLONE_THREAD = 0x10000
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
FIRST_ARGUMENT, THIRD_ARGUMENT = 16, 32

# Numbers of x86_64, from the kernel's syscall_64.tbl.
DENIED = (
    41, 425, 426, 427,  # socket, and io_uring, which opens sockets without it
    57, 58, 59, 322,  # fork, vfork, execve, execveat
    62, 200, 234, 129, 297, 424, 434, 438,  # kill, tkill, tgkill, queued signals, pidfds
    101, 310, 311, 312, 440,  # ptrace, other processes' memory
    160, 141, 142, 144, 203, 251, 256, 279, 314,  # setrlimit, priorities and cores of any process
    155, 161, 165, 166, 272, 308, 428, 429, 430, 431, 432, 433, 442,  # mounts and namespaces
    188, 189, 190, 197, 198, 199, 304,  # extended attributes, open_by_handle_at
    29, 30, 31, 64, 65, 66, 68, 69, 70, 71, 220, 240, 241,  # what processes share by System V and POSIX queues
    103, 159, 163, 164, 167, 168, 169, 170, 171, 172, 173, 175, 176, 179, 227, 246, 248, 249, 250, 298, 305, 313, 320,
    321, 323,  # the machine itself: clock, names, swap, modules, keys, bpf, perf
)  # fmt: skip
# Modes, owners and times of files, of which Landlock knows nothing. They seem to succeed, since copying a file sets them.
PRETENDED = (90, 91, 268, 452, 92, 93, 94, 260, 132, 235, 261, 280)
CLONE, CLONE3, PRCTL, PRLIMIT = 56, 435, 157, 302


def limit(kind: int, most: int) -> None:
    """A limit that the platform does not know, or that is already lower, is left alone."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (most, most))


def why_unconfined() -> str | None:
    """Why this machine cannot shut a child in; None when it can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"generated code is shut in on Linux on x86_64 only, and this is {sys.platform} on {platform.machine()}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, 1) < LANDLOCK_ABI_MIN:
        return (
            "this kernel has no Landlock that covers emptied files (Linux 6.2 or later, with landlock among its LSMs)"
        )
    if libc.prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0:
        return "this kernel has no seccomp"
    return None


def confine() -> None:
    """For this process, for good. OSError when the kernel refuses a part."""
    libc = ctypes.CDLL(None, use_errno=True)
    _done(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    _done(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _restrict_files(libc)
    program = b"".join(_filter())
    buffer = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    _done(libc.prctl(PR_SET_SECCOMP, 2, head, 0, 0))


def _restrict_files(libc: ctypes.CDLL) -> None:
    abi = libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, 1)
    files = (1 << 15) - 1 if abi < 5 else (1 << 16) - 1
    # TCP since ABI 4; abstract sockets and signals to those outside since ABI 6.
    handled = struct.pack("QQQ", files, 3, 3)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    ruleset = _done(libc.syscall(LANDLOCK_CREATE_RULESET, handled, len(handled), 0))
    python = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    libraries = {
        "/lib",
        "/lib64",
        "/usr/lib",
        "/usr/lib64",
        "/usr/share/zoneinfo",
        f"{sys.base_prefix}/lib",
    }
    grants = dict.fromkeys(python | libraries, READ)
    grants |= {
        "/dev/null": READ_FILE | WRITE_FILE,
        "/dev/urandom": READ_FILE,
        "/etc/ld.so.cache": READ_FILE,
        ".": WRITE,
    }
    for path, access in grants.items():
        with contextlib.suppress(FileNotFoundError):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            _done(libc.syscall(LANDLOCK_ADD_RULE, ruleset, 1, struct.pack("=Qi", access, place), 0))
            os.close(place)
    _done(libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _filter() -> list[bytes]:
    """A program of the classic BPF: each test is followed by the answer for what passes it."""

    def step(code: int, value: int, skip_when_true: int = 0, skip_when_false: int = 0) -> bytes:
        return struct.pack("HBBI", code, skip_when_true, skip_when_false, value)

    def answer(number: int, action: int) -> list[bytes]:
        return [step(EQUAL, number, 0, 1), step(RETURN, action)]

    denied = REFUSE | errno.EPERM
    return [
        step(LOAD, 4), step(EQUAL, AUDIT_ARCH_X86_64, 1, 0), step(RETURN, KILL),
        step(LOAD, 0), step(AT_LEAST, X32_SYSCALLS, 0, 1), step(RETURN, denied),
        *(part for number in DENIED for part in answer(number, denied)),
        *(part for number in PRETENDED for part in answer(number, REFUSE)),
        # Its flags lie in memory, where a filter cannot look; the C library then takes clone.
        *answer(CLONE3, REFUSE | errno.ENOSYS),
        # Threads only.
        step(EQUAL, CLONE, 0, 4), step(LOAD, FIRST_ARGUMENT), step(ANY_BIT, CLONE_THREAD, 0, 1), step(RETURN, ALLOW),
        step(RETURN, denied),
        # It may not outlive its runner.
        step(EQUAL, PRCTL, 0, 4), step(LOAD, FIRST_ARGUMENT), step(EQUAL, PR_SET_PDEATHSIG, 0, 1), step(RETURN, denied),
        step(RETURN, ALLOW),
        # Limits are read, never set: root could raise them, and anybody could lower the runner's.
        step(EQUAL, PRLIMIT, 0, 6), step(LOAD, THIRD_ARGUMENT), step(EQUAL, 0, 0, 3),
        step(LOAD, THIRD_ARGUMENT + 4), step(EQUAL, 0, 0, 1), step(RETURN, ALLOW), step(RETURN, denied),
        step(RETURN, ALLOW),
    ]  # fmt: skip


def _done(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"generated code cannot be shut in: {os.strerror(number)}")
    return answer


def import_all(modules: list[str]) -> None:
    """From the folder that this process is in. Ends it with NOT_IMPORTED at the first that fails."""
    sys.path.insert(0, "")
    for name in modules:
        try:
            importlib.import_module(name)
        except BaseException:  # noqa: BLE001  # SystemExit, too: a module that ends the program is none
            traceback.print_exc()
            sys.stderr.write(f"The module {name} cannot be imported.\n")
            sys.exit(NOT_IMPORTED)
    sys.path.pop(0)


def main() -> None:
    seconds = math.ceil(float(sys.argv[1])) + GRACE_SECONDS
    limit(resource.RLIMIT_AS, int(sys.argv[2]))
    limit(resource.RLIMIT_CPU, seconds)
    limit(resource.RLIMIT_FSIZE, FILE_BYTES_MAX)
    limit(resource.RLIMIT_NOFILE, OPEN_FILES_MAX)
    limit(resource.RLIMIT_CORE, 0)
    # If the runner is killed, nobody is left to end this process: the alarm does.
    signal.alarm(seconds)
    if sys.argv[3] == "confined":
        confine()
    modules = sys.argv[4].split(",") if sys.argv[4] else []
    sys.argv[:] = ["pytest", *sys.argv[5:]]
    import_all(modules)
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
