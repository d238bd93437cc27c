"""The seccomp filter of each architecture, run by a small interpreter of the classic BPF: what it answers to which call."""

from __future__ import annotations

import errno
import re
import struct
import sys
from pathlib import Path

import pytest

from penstock_runner.workflows.building import limited_child as child

X86_64, AARCH64 = child.ARCHITECTURES
OTHER = {X86_64: AARCH64, AARCH64: X86_64}
DENIED = child.REFUSE | errno.EPERM
CLONE_VM = 0x100
HEADERS = {X86_64: "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", AARCH64: "/usr/include/asm-generic/unistd.h"}
ORDINARY = {
    X86_64: {"read": 0, "write": 1, "mmap": 9, "ioctl": 16, "getpid": 39, "exit_group": 231, "futex": 202, "openat": 257},
    AARCH64: {"read": 63, "write": 64, "mmap": 222, "ioctl": 29, "getpid": 172, "exit_group": 94, "futex": 98, "openat": 56},
}  # fmt: skip

architectures = pytest.mark.parametrize("architecture", child.ARCHITECTURES)


def answer(architecture: str, call: int, *arguments: int, told: int | None = None) -> int:
    """What the kernel would do. `told`: the architecture that it tells the filter, where it is another one."""
    audit = child.ARCHITECTURES[architecture] if told is None else told
    data = struct.pack("<IIQ6Q", call, audit, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    program = [struct.unpack("HBBI", one) for one in child.filter_of(architecture)]
    accumulator = place = 0
    while True:
        code, when_true, when_false, value = program[place]
        place += 1
        match code:
            case child.LOAD:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case child.RETURN:
                return int(value)
            case child.EQUAL:
                place += when_true if accumulator == value else when_false
            case child.AT_LEAST:
                place += when_true if accumulator >= value else when_false
            case child.ANY_BIT:
                place += when_true if accumulator & value else when_false
            case _:
                raise AssertionError(code)


def number(call: child.Call, architecture: str) -> int:
    (found,) = child.numbers_of((call,), architecture)
    return found


def named(calls: tuple[child.Call, ...], architecture: str) -> dict[str, int]:
    """Those that the architecture has."""
    return {call[0]: found for call in calls for found in child.numbers_of((call,), architecture)}


@architectures
def test_everything_that_is_listed_is_refused(architecture: str) -> None:
    denied = named(child.DENIED, architecture)
    assert len(denied) > 80
    assert {answer(architecture, number) for number in denied.values()} == {DENIED}


@architectures
def test_modes_owners_and_times_seem_to_change(architecture: str) -> None:
    pretended = named(child.PRETENDED, architecture)
    assert {"fchmod", "fchmodat", "fchown", "fchownat", "utimensat"} <= set(pretended)
    assert {answer(architecture, number) for number in pretended.values()} == {child.REFUSE}


@architectures
def test_what_a_program_needs_is_allowed(architecture: str) -> None:
    assert {answer(architecture, number) for number in ORDINARY[architecture].values()} == {child.ALLOW}


@architectures
def test_calls_of_another_architecture_end_the_process(architecture: str) -> None:
    other = child.ARCHITECTURES[OTHER[architecture]]
    assert answer(architecture, ORDINARY[architecture]["read"], told=other) == child.KILL
    assert answer(architecture, ORDINARY[architecture]["read"], told=0x40000028) == child.KILL, "32-bit ARM"


@architectures
def test_calls_of_the_x32_abi_are_refused(architecture: str) -> None:
    assert answer(architecture, child.X32_SYSCALLS | 1) == DENIED


@architectures
def test_a_thread_may_be_made_and_a_process_may_not(architecture: str) -> None:
    clone = number(child.CLONE, architecture)
    assert answer(architecture, clone, child.CLONE_THREAD | CLONE_VM) == child.ALLOW
    assert answer(architecture, clone, CLONE_VM) == DENIED
    assert answer(architecture, number(child.CLONE3, architecture)) == child.REFUSE | errno.ENOSYS


@architectures
def test_limits_may_be_read_and_not_set(architecture: str) -> None:
    prlimit = number(child.PRLIMIT, architecture)
    assert answer(architecture, prlimit, 0, 9, 0, 0x7FFF0000) == child.ALLOW
    for pointer in (0x1000, 0x7F00_0000_0000):
        assert answer(architecture, prlimit, 0, 9, pointer) == DENIED


@architectures
def test_nobody_may_be_signalled_by_way_of_a_file(architecture: str) -> None:
    fcntl, ioctl = number(child.FCNTL, architecture), number(child.IOCTL, architecture)
    for command in (child.F_SETOWN, child.F_SETSIG, child.F_SETOWN_EX):
        assert answer(architecture, fcntl, 3, command, 1) == DENIED
        assert answer(architecture, fcntl, 3, command | 1 << 32, 1) == DENIED, "of which the kernel takes 32 bits"
    for command in (child.FIOSETOWN, child.SIOCSPGRP):
        assert answer(architecture, ioctl, 3, command, 1) == DENIED
    assert answer(architecture, fcntl, 3, 4) == child.ALLOW, "F_SETFL"
    assert answer(architecture, ioctl, 1, 0x5401) == child.ALLOW, "TCGETS"


@architectures
def test_the_signal_of_the_parents_death_may_not_be_taken_away(architecture: str) -> None:
    prctl = number(child.PRCTL, architecture)
    assert answer(architecture, prctl, child.PR_SET_PDEATHSIG, 0) == DENIED
    assert answer(architecture, prctl, 15) == child.ALLOW, "a thread's name"


@architectures
def test_the_numbers_are_those_of_the_kernels_headers(architecture: str) -> None:
    header = Path(HEADERS[architecture])
    if not header.is_file():
        pytest.skip(f"{header} is not on this machine")
    defined = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\s*$", header.read_text(), re.MULTILINE))
    calls = (
        *child.DENIED,
        *child.PRETENDED,
        child.CLONE,
        child.CLONE3,
        child.PRCTL,
        child.PRLIMIT,
        child.FCNTL,
        child.IOCTL,
    )
    ours = named(calls, architecture) | ORDINARY[architecture]
    # A call that is newer than the headers is not in them.
    assert {name: number for name, number in ours.items() if int(defined.get(name, number)) != number} == {}
    assert len(ours.keys() & defined.keys()) > 100
    absent = {call[0] for call in calls} - ours.keys()
    assert absent & defined.keys() == set(), "calls that we say it does not have"


@pytest.mark.parametrize(
    ("system", "machine"), [("linux", "riscv64"), ("linux", "armv7l"), ("darwin", "arm64"), ("win32", "AMD64")]
)
def test_a_machine_that_cannot_be_shut_in_is_told(monkeypatch: pytest.MonkeyPatch, system: str, machine: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert child.why_unconfined() == (
        f"generated code is shut in on Linux on x86_64 and aarch64 only, and this is {system} on {machine}"
    )
