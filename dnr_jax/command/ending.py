"""How a command ends that cannot go on: in one line, which begins with its name."""

import sys
from pathlib import Path

from dnr_jax.command.terminal import tell


def refuse(message: str) -> None:
    """Prints the message as one line and exits with status 2."""
    tell(as_line(message), file=sys.stderr)
    sys.exit(2)


def name() -> str:
    """Of this command: 'train.py', 'predict'."""
    spec = getattr(sys.modules['__main__'], '__spec__', None)  # of `python -m`
    return spec.name.removesuffix('.__main__').rpartition('.')[2] if spec else Path(sys.argv[0]).name


def as_line(message: str) -> str:
    """What this command says, on one line."""
    return f'{name()}: {" ".join(message.split())}'


def end(message: str, status: int) -> None:
    """Prints the message as one line and ends the process; one of several at once, for the others may be gone."""
    tell(as_line(message), file=sys.stderr)
    parallel = sys.modules.get('dnr_jax.parallel')  # which one of several has imported; it takes long
    getattr(parallel, 'leave', sys.exit)(status)
