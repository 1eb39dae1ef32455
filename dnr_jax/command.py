"""The frame of every command: a user's mistake ends in one clear line, a bug in its traceback."""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from dnr_jax.signals import ending_as_asked
from dnr_jax.stopping import Stopped
from dnr_jax.terminal import tell

HERE = Path(__file__).parent


def run(main: Callable[[list[str]], None]) -> None:
    """Runs `main(arguments)` under absl, which is given the arguments that no flag has taken.

    What this package itself raises is the user's to mend: one line, exit status 2. A command asked to stop ends with
    130 after Ctrl-C and 143 after SIGTERM, as shells tell it.
    """

    def guarded(argv: list[str]) -> None:
        if not flags.FLAGS['verbosity'].present:
            logging.set_verbosity(logging.WARNING)  # libraries tell much that a user need not know
        try:
            main(argv[1:])
        except Stopped as stopped:
            end(f'{stopped}; the same command goes on from here', stopped.status)
        except Exception as error:
            if not raised_here(error):
                tell(traceback.format_exc().rstrip(), file=sys.stderr)
                end('this is a bug, or another process of the run has died; what it was doing is above', 1)
            end(str(error), 2)

    with ending_as_asked(Path(sys.argv[0]).name):
        app.run(guarded, flags_parser=parse_flags)


def define_config(default: str, help: str) -> flags.FlagHolder:
    """The flag --config; what is wrong with its overrides, which it reads at once, is said in one line."""
    try:
        return config_flags.DEFINE_config_file('config', default, help, lock_config=True)
    except (flags.Error, AttributeError, OSError) as error:
        refuse(str(error))


def define_distributed() -> Callable[[], None]:
    """The flags that make a process one of several; returns what joins them, to be called before JAX is used."""
    flags.DEFINE_string('coordinator', '', "HOST:PORT of process 0, or 'auto' under SLURM and on TPU pods.")
    flags.DEFINE_integer('processes', None, 'How many processes there are; not needed with auto.')
    flags.DEFINE_integer('process', None, 'Number of this process, from 0; not needed with auto.')

    def connect() -> None:
        from dnr_jax.parallel import connect

        connect(flags.FLAGS.coordinator, flags.FLAGS.processes, flags.FLAGS.process)

    return connect


def parse_flags(argv: list[str]) -> list[str]:
    """Parses what flags are known; what is wrong with them is said in one line. Returns the rest.

    Paths may begin with ~: --workdir=~/runs, which not every shell expands.
    """
    try:
        return flags.FLAGS([at_home(argument) for argument in argv], known_only=True)
    except (flags.Error, AttributeError, OSError) as error:
        refuse(str(error))


def at_home(argument: str) -> str:
    """--flag=~/path with the home folder in the place of ~, other arguments as they are."""
    flag, equals, value = argument.partition('=')
    return f'{flag}={os.path.expanduser(value)}' if equals and flag.startswith('-') else argument


def expect_no_more(arguments: list[str]) -> None:
    """Refuses arguments that no flag has taken."""
    if arguments:
        refuse(f'unknown argument {arguments[0]}; see --help')


def override(config: ConfigDict, arguments: list[str]) -> ConfigDict:
    """The config with `--config.x=y` arguments applied; other arguments are refused."""
    config_flags.DEFINE_config_dict('config', config, 'Config stored with the checkpoint.', lock_config=True)
    expect_no_more(parse_flags([sys.argv[0], *arguments])[1:])
    return flags.FLAGS.config


def raised_here(error: BaseException) -> bool:
    """Whether the error is one of this package's own, or a ValueError or FloatingPointError that began in it."""
    if type(error).__module__.startswith('dnr_jax'):
        return True
    began_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    return isinstance(error, ValueError | FloatingPointError) and HERE in began_in.parents


def refuse(message: str) -> None:
    """Prints the message as one line and exits with status 2."""
    tell(as_line(message), file=sys.stderr)
    sys.exit(2)


def as_line(message: str) -> str:
    """What this command says, on one line."""
    return f'{Path(sys.argv[0]).name}: {" ".join(message.split())}'


def end(message: str, status: int) -> None:
    """Prints the message as one line and ends the process; one of several at once, for the others may be gone."""
    tell(as_line(message), file=sys.stderr)
    parallel = sys.modules.get('dnr_jax.parallel')  # which one of several has imported; it takes long
    getattr(parallel, 'leave', sys.exit)(status)
