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

X32_SYSCALLS = 0x40000000
CLONE_THREAD = 0x10000
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
FIRST_ARGUMENT, SECOND_ARGUMENT, THIRD_ARGUMENT = 16, 24, 32

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""By what the platform calls itself: AUDIT_ARCH, which the kernel tells a filter. Each call's numbers below stand in this
order, from the kernel's syscall_64.tbl and asm-generic/unistd.h; None: that architecture has no such call."""

Call = tuple[str, int | None, int | None]
DENIED: tuple[Call, ...] = (
    # Sockets, and io_uring, which opens sockets without them.
    ("socket", 41, 198), ("io_uring_setup", 425, 425), ("io_uring_enter", 426, 426), ("io_uring_register", 427, 427),
    # Other programs.
    ("fork", 57, None), ("vfork", 58, None), ("execve", 59, 221), ("execveat", 322, 281),
    # Signals, to whomever.
    ("kill", 62, 129), ("tkill", 200, 130), ("tgkill", 234, 131), ("rt_sigqueueinfo", 129, 138),
    ("rt_tgsigqueueinfo", 297, 240), ("pidfd_send_signal", 424, 424), ("pidfd_open", 434, 434),
    ("pidfd_getfd", 438, 438),
    # Other processes' memory.
    ("ptrace", 101, 117), ("process_vm_readv", 310, 270), ("process_vm_writev", 311, 271), ("kcmp", 312, 272),
    ("process_madvise", 440, 440),
    # Limits, priorities and cores of any process.
    ("setrlimit", 160, 164), ("setpriority", 141, 140), ("sched_setparam", 142, 118), ("sched_setscheduler", 144, 119),
    ("sched_setaffinity", 203, 122), ("ioprio_set", 251, 30), ("migrate_pages", 256, 238), ("move_pages", 279, 239),
    ("sched_setattr", 314, 274),
    # Mounts and namespaces.
    ("pivot_root", 155, 41), ("chroot", 161, 51), ("mount", 165, 40), ("umount2", 166, 39), ("unshare", 272, 97),
    ("setns", 308, 268), ("open_tree", 428, 428), ("move_mount", 429, 429), ("fsopen", 430, 430),
    ("fsconfig", 431, 431), ("fsmount", 432, 432), ("fspick", 433, 433), ("mount_setattr", 442, 442),
    # Files that are only memory, which no limit of memory counts, and space on the disk that nobody has written.
    ("memfd_create", 319, 279), ("memfd_secret", 447, 447), ("fallocate", 285, 47),
    # Extended attributes, and files by their handles.
    ("setxattr", 188, 5), ("lsetxattr", 189, 6), ("fsetxattr", 190, 7), ("removexattr", 197, 14),
    ("lremovexattr", 198, 15), ("fremovexattr", 199, 16), ("open_by_handle_at", 304, 265),
    # What processes share by System V and POSIX queues.
    ("shmget", 29, 194), ("shmat", 30, 196), ("shmctl", 31, 195), ("semget", 64, 190), ("semop", 65, 193),
    ("semctl", 66, 191), ("msgget", 68, 186), ("msgsnd", 69, 189), ("msgrcv", 70, 188), ("msgctl", 71, 187),
    ("semtimedop", 220, 192), ("mq_open", 240, 180), ("mq_unlink", 241, 181),
    # The machine itself: clock, names, swap, modules, keys, bpf, perf.
    ("syslog", 103, 116), ("adjtimex", 159, 171), ("acct", 163, 89), ("settimeofday", 164, 170), ("swapon", 167, 224),
    ("swapoff", 168, 225), ("reboot", 169, 142), ("sethostname", 170, 161), ("setdomainname", 171, 162),
    ("iopl", 172, None), ("ioperm", 173, None), ("init_module", 175, 105), ("delete_module", 176, 106),
    ("quotactl", 179, 60), ("clock_settime", 227, 112), ("kexec_load", 246, 104), ("add_key", 248, 217),
    ("request_key", 249, 218), ("keyctl", 250, 219), ("perf_event_open", 298, 241), ("clock_adjtime", 305, 266),
    ("finit_module", 313, 273), ("kexec_file_load", 320, 294), ("bpf", 321, 280), ("userfaultfd", 323, 282),
)  # fmt: skip
# Modes, owners and times of files, of which Landlock knows nothing. They seem to succeed, since copying a file sets them.
PRETENDED: tuple[Call, ...] = (
    ("chmod", 90, None), ("fchmod", 91, 52), ("fchmodat", 268, 53), ("fchmodat2", 452, 452), ("chown", 92, None),
    ("fchown", 93, 55), ("lchown", 94, None), ("fchownat", 260, 54), ("utime", 132, None), ("utimes", 235, None),
    ("futimesat", 261, None), ("utimensat", 280, 88),
)  # fmt: skip
CLONE: Call = ("clone", 56, 220)
CLONE3: Call = ("clone3", 435, 435)
PRCTL: Call = ("prctl", 157, 167)
PRLIMIT: Call = ("prlimit64", 302, 261)
# Whom a file's owner makes the kernel signal, and with what: a way around kill where Landlock does not see to signals.
FCNTL: Call = ("fcntl", 72, 25)
F_SETOWN, F_SETSIG, F_SETOWN_EX = 8, 10, 15
IOCTL: Call = ("ioctl", 16, 29)
FIOSETOWN, SIOCSPGRP = 0x8901, 0x8902


def limit(kind: int, most: int) -> None:
    """A limit that the platform does not know, or that is already lower, is left alone."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (most, most))


def why_unconfined() -> str | None:
    """Why this machine cannot shut a child in; None when it can."""
    if sys.platform != "linux" or platform.machine() not in ARCHITECTURES:
        known = " and ".join(ARCHITECTURES)
        return f"generated code is shut in on Linux on {known} only, and this is {sys.platform} on {platform.machine()}"
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
    program = b"".join(filter_of(platform.machine()))
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


def numbers_of(calls: tuple[Call, ...], architecture: str) -> list[int]:
    """Of those that the architecture has."""
    column = 1 + list(ARCHITECTURES).index(architecture)
    return [number for call in calls if isinstance(number := call[column], int)]


def filter_of(architecture: str) -> list[bytes]:
    """A program of the classic BPF: each test is followed by the answer for what passes it."""

    def step(code: int, value: int, skip_when_true: int = 0, skip_when_false: int = 0) -> bytes:
        return struct.pack("HBBI", code, skip_when_true, skip_when_false, value)

    def answers(calls: tuple[Call, ...], action: int) -> list[bytes]:
        numbers = numbers_of(calls, architecture)
        return [part for number in numbers for part in (step(EQUAL, number, 0, 1), step(RETURN, action))]

    clone, prctl, prlimit, fcntl, ioctl = numbers_of((CLONE, PRCTL, PRLIMIT, FCNTL, IOCTL), architecture)
    denied = REFUSE | errno.EPERM

    def commands(call: int, *values: int) -> list[bytes]:
        """Denied as the second argument of a call, of which the kernel takes 32 bits."""
        refusals = [part for value in values for part in (step(EQUAL, value, 0, 1), step(RETURN, denied))]
        tests = [step(LOAD, SECOND_ARGUMENT), *refusals, step(RETURN, ALLOW)]
        return [step(EQUAL, call, 0, len(tests)), *tests]

    return [
        step(LOAD, 4), step(EQUAL, ARCHITECTURES[architecture], 1, 0), step(RETURN, KILL),
        step(LOAD, 0), step(AT_LEAST, X32_SYSCALLS, 0, 1), step(RETURN, denied),
        *answers(DENIED, denied),
        *answers(PRETENDED, REFUSE),
        # Its flags lie in memory, where a filter cannot look; the C library then takes clone.
        *answers((CLONE3,), REFUSE | errno.ENOSYS),
        *commands(fcntl, F_SETOWN, F_SETSIG, F_SETOWN_EX),
        *commands(ioctl, FIOSETOWN, SIOCSPGRP),
        # Threads only.
        step(EQUAL, clone, 0, 4), step(LOAD, FIRST_ARGUMENT), step(ANY_BIT, CLONE_THREAD, 0, 1),
        step(RETURN, ALLOW), step(RETURN, denied),
        # It may not outlive its runner.
        step(EQUAL, prctl, 0, 4), step(LOAD, FIRST_ARGUMENT), step(EQUAL, PR_SET_PDEATHSIG, 0, 1),
        step(RETURN, denied), step(RETURN, ALLOW),
        # Limits are read, never set: root could raise them, and anybody could lower the runner's.
        step(EQUAL, prlimit, 0, 6), step(LOAD, THIRD_ARGUMENT), step(EQUAL, 0, 0, 3),
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
