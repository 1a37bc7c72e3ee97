"""Whether a process can be sampled from here, and if not: exactly why, and what to do about it.

Who may attach is told in ptrace(2), "Ptrace access mode checking", and Yama's rules in the kernel's
Documentation/admin-guide/LSM/Yama.rst. `look` asks the kernel, `explain` decides.
"""

import ctypes
import errno
import os
import re
from dataclasses import dataclass, field

from . import find, maps, procfs, pyspy
from .gate import PTRACE_SEIZE

# What py-spy 0.4 can read.
OLDEST, NEWEST = (3, 3), (3, 14)

_NO_PROCESS = (1 << 22) + 1  # above the kernel's largest PID
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: one word for a condition's reason, a sentence, and what would help."""

    reason: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class Identity:
    """A process' credentials: real, effective and saved IDs, permitted capabilities as bits."""

    uids: tuple[int, ...] = (0,)
    gids: tuple[int, ...] = (0,)
    capabilities: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the kernel says of us and of the target. `denied`: the error on opening its memory."""

    pid: int
    exists: bool = True
    main_ended: bool = False  # its first thread, while others go on
    is_self: bool = False
    halted: bool = False  # by a signal
    own: Identity = Identity()
    target: Identity = Identity()
    can_ptrace: bool = True  # CAP_SYS_PTRACE among our effective capabilities
    ptrace_allowed: bool = True  # the system call itself: a seccomp profile may forbid it
    yama: int = 0
    is_descendant: bool = False
    dumpable: bool = True
    tracer: int = 0
    denied: str = ""
    is_python: bool | None = True
    bits: int = 64
    version: str = ""
    free_threaded: bool = False
    pyspy: str = field(default="", compare=False)


def can_attach(pid: int) -> Refusal | None:
    """None: it can be sampled."""
    return explain(look(pid))


def explain(facts: Facts) -> Refusal | None:
    """The first thing that is in the way."""
    if not facts.exists:
        return Refusal("NoProcess", f"there is no process {facts.pid}", "Give a PID that runs")
    if facts.is_self:
        return Refusal(
            "Itself",
            f"process {facts.pid} is the sampler itself",
            "Give the PID of another process",
        )
    if facts.main_ended:
        return Refusal(
            "MainThreadEnded",
            f"the first thread of process {facts.pid} has ended, and with it all that the kernel "
            "tells of its memory, though other threads go on",
            "Let its main thread wait for the others (join) where it now ends by itself",
        )
    if facts.halted:
        return Refusal(
            "Stopped",
            f"process {facts.pid} was stopped by a signal, such as SIGSTOP or Ctrl-Z",
            f"Let it go on: kill -CONT {facts.pid}",
        )
    if facts.pyspy:
        return Refusal("NoPySpy", facts.pyspy, "Install py-spy beside the sampler")
    return _access(facts) or _interpreter(facts)


def _access(facts: Facts) -> Refusal | None:
    if not facts.ptrace_allowed:
        return Refusal(
            "SeccompForbidsPtrace",
            "the sampler's seccomp profile forbids ptrace",
            "Use seccompProfile RuntimeDefault on a kernel of 4.8 or later",
        )
    if facts.tracer:
        return Refusal(
            "AlreadyTraced",
            f"process {facts.tracer} traces it already, such as a debugger or another profiler",
            "End that one first: a process has one tracer at most",
        )
    if not facts.denied:
        return None
    for check in (_same_user, _capabilities, _dumpable, _yama):
        if not facts.can_ptrace and (refusal := check(facts)):
            return refusal
    if facts.yama == 3:
        return _yama(facts)
    return Refusal(
        "AccessDenied",
        f"the kernel does not let us into process {facts.pid}: {facts.denied}",
        "Look for a security module (AppArmor, SELinux) or another user namespace",
    )


def _same_user(facts: Facts) -> Refusal | None:
    ours, theirs = facts.own.uids[0], facts.target.uids
    if any(uid != ours for uid in theirs):
        other = next(uid for uid in theirs if uid != ours)
        return Refusal(
            "OtherUser",
            f"it runs as UID {other}, the sampler as UID {ours}",
            f"Run the sampler as UID {other}, or with the capability SYS_PTRACE",
        )
    our_group, their_groups = facts.own.gids[0], facts.target.gids
    if any(gid != our_group for gid in their_groups):
        other = next(gid for gid in their_groups if gid != our_group)
        return Refusal(
            "OtherGroup",
            f"it runs as GID {other}, the sampler as GID {our_group}",
            f"Run the sampler as GID {other}, or with the capability SYS_PTRACE",
        )
    return None


def _capabilities(facts: Facts) -> Refusal | None:
    missing = facts.target.capabilities & ~facts.own.capabilities
    if not missing:
        return None
    return Refusal(
        "TargetHasMoreCapabilities",
        f"it has capabilities that the sampler has not ({missing:#x})",
        "Drop them from the application, or give the sampler SYS_PTRACE",
    )


def _dumpable(facts: Facts) -> Refusal | None:
    if facts.dumpable:
        return None
    return Refusal(
        "NotDumpable",
        "it is not dumpable: it has changed its user, or its program may not be read",
        "Start it as its user (runAsUser) from a readable file, or give the sampler SYS_PTRACE",
    )


def _yama(facts: Facts) -> Refusal | None:
    if facts.yama == 1 and not facts.is_descendant:
        return Refusal(
            "YamaDescendantsOnly",
            "the node allows to trace descendants only (kernel.yama.ptrace_scope=1)",
            "Let the application call prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY), set it to 0, or"
            " give the sampler SYS_PTRACE",
        )
    if facts.yama == 2:
        return Refusal(
            "YamaAdminOnly",
            "the node allows tracing with SYS_PTRACE only (kernel.yama.ptrace_scope=2)",
            "Give the sampler the capability SYS_PTRACE, or set it to 1 or 0",
        )
    if facts.yama == 3:
        return Refusal(
            "YamaNever",
            "the node allows no tracing at all (kernel.yama.ptrace_scope=3)",
            "Restart the node with a lower value: this one cannot be lowered while it runs",
        )
    return None


def _interpreter(facts: Facts) -> Refusal | None:
    if facts.is_python is False:
        return Refusal(
            "NotPython",
            f"process {facts.pid} has no Python interpreter in its memory",
            "Choose a process, and in a pod a container, that runs Python",
        )
    if facts.bits != 64:
        return Refusal(
            "NotSupported32Bit",
            f"process {facts.pid} runs in {facts.bits} bits",
            "Run a 64-bit Python",
        )
    if facts.free_threaded:
        return Refusal(
            "FreeThreaded",
            f"it runs a free-threaded Python {facts.version}, which py-spy cannot read",
            "Run the usual build of Python",
        )
    number = tuple(int(part) for part in facts.version.split(".")) if facts.version else OLDEST
    if not OLDEST <= number <= NEWEST and number != (2, 7):
        return Refusal(
            "PythonVersion",
            f"it runs Python {facts.version}; py-spy reads 3.{OLDEST[1]} to 3.{NEWEST[1]}",
            "Use a newer Foretide with a newer py-spy, or another version of Python",
        )
    return None


def look(pid: int) -> Facts:
    """Ask the kernel. What it does not tell stays at what would not be in the way."""
    try:
        status = _status(pid)
        ours = _status(os.getpid())
    except OSError:
        return Facts(pid, exists=False)
    if status.get("State", "Z")[0] in "ZX":
        others = int(status.get("Threads", "1")) > 1
        return Facts(pid, exists=others, main_ended=others)
    if pid == os.getpid():
        return Facts(pid, is_self=True)
    # A thread of the kernel has no memory, and so nothing that could be refused.
    has_memory = "VmSize" in status
    denied = _denied(pid) if has_memory else ""
    text = (procfs.read_or_none(f"/proc/{pid}/maps") or b"").decode(errors="replace")
    executable = _link(f"/proc/{pid}/exe")
    mappings = maps.parse_maps(text)
    knows = bool(text) or bool(executable) or not has_memory
    own, target = _identity(ours), _identity(status)
    return Facts(
        pid=pid,
        halted=status.get("State", "")[:1] == "T",
        own=own,
        target=target,
        can_ptrace=bool(int(ours.get("CapEff", "0"), 16) >> 19 & 1),
        ptrace_allowed=_may_call_ptrace(),
        yama=_yama_scope(),
        is_descendant=os.getpid() in find.family(pid),
        dumpable=os.stat(f"/proc/{pid}").st_uid == target.uids[1],
        tracer=int(status.get("TracerPid", "0")),
        denied=denied,
        is_python=find.is_python(pid) if knows else None,
        bits=_bits(pid),
        version=maps.python_version(mappings, executable),
        free_threaded=maps.is_free_threaded(mappings, executable),
        pyspy=_missing(),
    )


def _status(pid: int) -> dict[str, str]:
    text = procfs.read(f"/proc/{pid}/status").decode(errors="replace")
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _identity(status: dict[str, str]) -> Identity:
    def ids(name: str) -> tuple[int, ...]:
        return tuple(int(word) for word in status.get(name, "0 0 0").split()[:3])

    return Identity(ids("Uid"), ids("Gid"), int(status.get("CapPrm", "0"), 16))


def _denied(pid: int) -> str:
    """To open a process' memory needs what attaching needs (PTRACE_MODE_ATTACH)."""
    try:
        os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return os.strerror(error.errno or 0)
    return ""


def _may_call_ptrace() -> bool:
    """A seccomp profile refuses with EPERM what the kernel refuses with ESRCH."""
    _LIBC.ptrace.argtypes = [ctypes.c_long] * 4
    _LIBC.ptrace.restype = ctypes.c_long
    _LIBC.ptrace(PTRACE_SEIZE, _NO_PROCESS, 0, 0)
    return ctypes.get_errno() == errno.ESRCH


def _yama_scope() -> int:
    text = procfs.read_or_none("/proc/sys/kernel/yama/ptrace_scope")
    found = re.match(rb"\d+", text or b"")
    return int(found.group()) if found else 0


def _bits(pid: int) -> int:
    """From the fifth byte of its ELF file."""
    try:
        with open(f"/proc/{pid}/exe", "rb") as file:
            head = file.read(5)
    except OSError:
        return 64
    return 32 if head[:4] == b"\x7fELF" and head[4] == 1 else 64


def _link(path: str) -> str:
    try:
        return os.readlink(path).removesuffix(" (deleted)")
    except OSError:
        return ""


def _missing() -> str:
    try:
        pyspy.executable()
    except pyspy.PySpyError as error:
        return str(error)
    return ""
