"""What a process has used, read from `/proc`: Linux only."""

import os
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    # The process's name, in brackets, may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    user, system = fields[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> int:
    """Return the most memory that a process has had resident."""
    return _status_mib(pid, "VmHWM")


def resident_mib(pid: int) -> int:
    """Return the memory that a process has resident."""
    return _status_mib(pid, "VmRSS")


def _status_mib(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition(f"{field}:")[2].split()[0]) // 1024
