"""Lines for people to read, on a terminal.

Names of files, classes and keys come from elsewhere. On a terminal, some characters in them are commands: they move the
cursor, change what was printed before, or its direction. So everything is printed here, and such characters are spelled
out, '\\x1b'. Commands in them are named as the one that prints them was called.
"""

import errno
import os
import re
import signal
import sys
from contextlib import suppress
from io import TextIOBase
from pathlib import Path

# Of a checkout, what an installed package has as 'dnr-NAME', see `dnr_jax.__main__`.
OF_CHECKOUT = re.compile(
    r'python (?:(train|eval)\.py|-m dnr_jax\.(?:data\.)?'
    r'(prepare|check|compare|predict|study|statistics_report|convert|export))(?![\w.])'
)


def tell(text: str, *, file: TextIOBase | None = None) -> None:
    """Prints the lines of a text at once, to standard output or `file`."""
    file = file or sys.stdout
    encoding = file.encoding or 'utf-8'
    lines = '\n'.join(map(printable, as_called(text).split('\n')))
    try:
        print(lines.encode(encoding, 'backslashreplace').decode(encoding), file=file, flush=True)
    except BrokenPipeError:  # who read the lines is gone, as behind `| head`; so is this command, without a word
        to_nowhere(file.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        leave_gone_terminal()


def leave_gone_terminal() -> None:
    """Lines that went to a terminal that is gone go nowhere: what is going on here need not fail with it."""
    for file in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # of a file that is none
            number = file.fileno()
            try:
                os.write(number, b'')
            except OSError as error:
                if error.errno == errno.EIO:
                    to_nowhere(number)


def to_nowhere(number: int) -> None:
    """What is written to this file descriptor is not to be read."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def printable(line: str) -> str:
    """The line with all that is not shown as itself spelled out, line breaks too."""
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in line)


def as_called(text: str) -> str:
    """The text with commands as this one was called: 'dnr-train' for 'python train.py' where it is an installed one."""
    if not Path(sys.argv[0]).name.startswith('dnr-'):
        return text
    return OF_CHECKOUT.sub(lambda found: f'dnr-{(found[1] or found[2]).replace("_", "-")}', text)
