"""The frame of every command: a user's mistake ends in one clear line, a bug in its traceback."""

import sys
from collections.abc import Callable

from absl import app, flags, logging

from dnr_jax.command import compiled, faults
from dnr_jax.command.arguments import define_compilation_cache, help_text, parse_flags
from dnr_jax.command.ending import end, name
from dnr_jax.command.signals import Stopped, ending_as_asked
from dnr_jax.command.terminal import tell


def run(main: Callable[[list[str]], None]) -> None:
    """Runs `main(arguments)` under absl, which is given the arguments that no flag has taken.

    What this package itself raises, or a disk that is full, is the user's to mend: one line, exit status 2. A command
    asked to stop ends with 130 after Ctrl-C and 143 after SIGTERM, as shells tell it.
    """

    def guarded(argv: list[str]) -> None:
        if not flags.FLAGS['verbosity'].present:
            logging.set_verbosity(logging.WARNING)  # libraries tell much that a user need not know
        try:
            by_several = 'coordinator' in flags.FLAGS and bool(flags.FLAGS.coordinator)
            compiled.keep(flags.FLAGS.compilation_cache, by_several)
            main(argv[1:])
        except Stopped as stopped:
            end(f'{stopped}; the same command goes on from here', stopped.status)
        except Exception as error:
            end(*faults.verdict(error))

    define_compilation_cache()
    with ending_as_asked(name()):
        if {'--help', '-h'} & set(sys.argv[1:]):
            tell(help_text(sys.modules[main.__module__].__doc__))
            sys.exit(0)
        app.run(guarded, flags_parser=parse_flags)
