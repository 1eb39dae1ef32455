"""How much may run at once: the cores that this process is given, which are often fewer than the machine has."""

import os


def allotted() -> int:
    """Of a job of Slurm, a cpuset or taskset; where the system does not tell, all of the machine."""
    if hasattr(os, 'sched_getaffinity'):  # of Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
