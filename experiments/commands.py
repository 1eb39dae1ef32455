"""How the commands of experiments begin and end: where they record, and a mistake in one line.

parser = commands.parser(__doc__, RECORDS)
options = parser.parse_args()
with commands.refusing():
    ...                                     # looks up and adds records in options.records
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dnr_jax.command import beside, faults, refuse


def parser(about: str, records: Path) -> argparse.ArgumentParser:
    """Of the command that is called as its records are, with --records, by which all of its runs are made anew."""
    made = argparse.ArgumentParser(prog=f'python -m experiments.{records.stem}', description=about.split('\n')[0])
    made.add_argument(
        '--records',
        type=Path,
        default=records,
        metavar='FILE',
        help='where runs are looked up and recorded; with a new one, as runs/mine.jsonl, all of them are made anew. '
        f'Default: those of the pages, experiments/records/{records.name}',
    )
    return made


def several(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """The type of an option that takes values of a kind, semicolons between them."""

    def read(text: str) -> list[Any]:
        return [kind(of) for of in text.split(';')]

    read.__name__ = kind.__name__  # which argparse says where one is no such value
    return read


@contextmanager
def refusing() -> Iterator[None]:
    """Ends the command with one line for a ValueError of this project, or as a program has that it has called.

    That program has said why.
    """
    try:
        yield
    except subprocess.CalledProcessError as failed:
        if failed.returncode < 0:  # by a signal, of which it could say nothing
            print(failed, file=sys.stderr)
        sys.exit(failed.returncode if failed.returncode > 0 else 128 - failed.returncode)
    except ValueError as error:
        if not faults.began_in(error, beside('dnr_jax'), Path(__file__).parent):
            raise
        refuse(str(error))
