"""The frame of every command: a user's mistake ends in one clear line, a bug in its traceback."""

import sys
from collections.abc import Callable
from pathlib import Path

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

HERE = Path(__file__).parent


def run(main: Callable[[list[str]], None]) -> None:
    """Runs `main(arguments)` under absl, which is given the arguments that no flag has taken.

    A ValueError or FloatingPointError raised by this package is the user's to mend: one line, exit status 2.
    """

    def guarded(argv: list[str]) -> None:
        if not flags.FLAGS['verbosity'].present:
            logging.set_verbosity(logging.WARNING)  # libraries tell much that a user need not know
        try:
            main(argv[1:])
        except (ValueError, FloatingPointError) as error:
            if not raised_here(error):
                raise
            refuse(str(error))

    app.run(guarded, flags_parser=parse_flags)


def define_config(default: str, help: str) -> flags.FlagHolder:
    """The flag --config; what is wrong with its overrides, which it reads at once, is said in one line."""
    try:
        return config_flags.DEFINE_config_file('config', default, help, lock_config=True)
    except (flags.Error, AttributeError, OSError) as error:
        refuse(' '.join(str(error).split()))


def parse_flags(argv: list[str]) -> list[str]:
    """Parses what flags are known; what is wrong with them is said in one line. Returns the rest."""
    try:
        return flags.FLAGS(argv, known_only=True)
    except (flags.Error, AttributeError, OSError) as error:
        refuse(' '.join(str(error).split()))


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
    """Whether the error began in this package rather than in a library it calls."""
    traceback = error.__traceback__
    while traceback.tb_next:
        traceback = traceback.tb_next
    began_in = Path(traceback.tb_frame.f_code.co_filename)
    return type(error).__module__.startswith('dnr_jax') or HERE in began_in.parents


def refuse(message: str) -> None:
    """Prints the message as one line and exits with status 2."""
    print(f'{Path(sys.argv[0]).name}: {message}', file=sys.stderr)
    sys.exit(2)
