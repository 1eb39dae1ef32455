"""python -m dnr_jax.compare A B: which of two trained models is better, see `comparison`."""

import argparse
import sys

from dnr_jax.command import faults
from dnr_jax.command.signals import ending_as_asked
from dnr_jax.command.terminal import as_called, tell
from dnr_jax.compare import comparison
from dnr_jax.evaluation.predictions import read
from dnr_jax.files import as_path, expect_writable


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 2 for a user's mistake, 1 for a bug."""
    parser = argparse.ArgumentParser(
        prog=as_called('python -m dnr_jax.compare'),
        description=as_called(comparison.__doc__.partition('Axes:')[0]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('a', metavar='A', help='predictions.npz, or its folder: WORKDIR/test')
    parser.add_argument('b', metavar='B', help='another one, of the same videos')
    parser.add_argument('--out', help='folder for tables and picture; without it they are not written')
    options = parser.parse_args(arguments)
    names = options.a, options.b
    try:
        out = as_path(options.out).expanduser() if options.out else None
        if out:
            expect_writable(out)
        found = comparison.match(*map(read, names))
        tell(comparison.to_text(found, names))
        if out:
            comparison.write(out, found, names)
    except Exception as error:
        return faults.status(error)
    return 0


def run() -> None:
    with ending_as_asked('compare'):
        sys.exit(main())


if __name__ == '__main__':
    run()
