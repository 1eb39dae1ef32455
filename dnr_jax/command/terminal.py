"""Lines for people to read, on a terminal.

Names of files, classes and keys come from elsewhere. On a terminal, some characters in them are commands: they move the
cursor, change what was printed before, or its direction. So everything is printed here, and such characters are spelled
out, '\\x1b'.
"""

import sys
from io import TextIOBase


def tell(text: str, *, file: TextIOBase | None = None) -> None:
    """Prints the lines of a text at once, to standard output or `file`."""
    file = file or sys.stdout
    encoding = file.encoding or 'utf-8'
    lines = '\n'.join(map(printable, text.split('\n')))
    print(lines.encode(encoding, 'backslashreplace').decode(encoding), file=file, flush=True)


def printable(line: str) -> str:
    """The line with all that is not shown as itself spelled out, line breaks too."""
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in line)
