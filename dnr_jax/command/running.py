"""The frame of every command: a user's mistake ends in one clear line, a bug in its traceback."""

import errno
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from dnr_jax.command import compiled
from dnr_jax.command.config_table import flat
from dnr_jax.command.signals import Stopped, ending_as_asked
from dnr_jax.command.terminal import tell
from dnr_jax.files import as_path
from dnr_jax.registry import nearest

HERE = Path(__file__).parent.parent  # the package
TROUBLE_OF_DISKS = errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE
ANY_KEY = 'Any key of configs/base.py, which says what each is for: --config.train.epochs=8'
KEYS_OF_USE = 'Keys of configs/base.py that say how a trained model is used: --config.test.clips=10'


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
            if reason := of_device(error):
                end(reason, 2)
            if reason := of_peer(error):
                end(reason, 1)
            if reason := of_disk(error):
                end(reason, 2)
            if not raised_here(error):
                tell(traceback.format_exc().rstrip(), file=sys.stderr)
                end('this is a bug; what it was doing is above', 1)
            end(str(error), 2)

    flags.DEFINE_string(
        'compilation_cache',
        None,
        "Folder that keeps compiled programs for the next command; '' for none. Default: JAX_COMPILATION_CACHE_DIR, or "
        f'{compiled.folder_of_user()}, at most {compiled.MOST_BYTES // 2**20:,} MiB, of a process that is alone.',
    )
    with ending_as_asked(name()):
        if {'--help', '-h'} & set(sys.argv[1:]):
            tell(help_text(sys.modules[main.__module__].__doc__))
            sys.exit(0)
        app.run(guarded, flags_parser=parse_flags)


def define_config(default: str, help: str) -> flags.FlagHolder:
    """The flag --config; what is wrong with its overrides, which it reads at once, is said in one line.

    A file that is not there is taken from beside the package: 'configs/hmdb51.py' means one in every folder.
    """
    sys.argv[1:] = [located(argument, before) for before, argument in pairwise(sys.argv)]
    with refusing():
        help = f'{help} Default: {default}.'
        return config_flags.DEFINE_config_file('config', located(default), help, lock_config=True)


def located(argument: str, before: str = '--config') -> str:
    """The argument, with the config file that it names found: --config=FILE:MODEL, or FILE:MODEL behind --config."""
    flag, file, model = re.fullmatch('(--?config=)?([^:]*)(.*)', argument, re.DOTALL).groups()
    if not (flag or before in ('--config', '-config')) or Path(file).exists() or not beside(file).is_file():
        return argument
    return f'{flag or ""}{beside(file)}{model}'


def beside(path: str) -> Path:
    """Of what lies beside the package: 'configs/base.py'."""
    return HERE.parent / path


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
    with refusing():
        rest = flags.FLAGS([at_home(argument) for argument in argv], known_only=True)
        if 'config' in flags.FLAGS:
            _ = flags.FLAGS.config.keys  # a file that could not be read is told of when it is looked at
        return rest


def at_home(argument: str) -> str:
    """--flag=~/path with the home folder in the place of ~, other arguments as they are.

    URLs that cannot be reached from here are refused, whatever the flag is for.
    """
    flag, equals, value = argument.partition('=')
    if not equals or not flag.startswith('-'):
        return argument
    if '://' in value:
        try:
            as_path(value)
        except ValueError as error:
            refuse(f'{flag}: {error}')
    return f'{flag}={os.path.expanduser(value)}'


def expect_no_more(arguments: list[str]) -> None:
    """Refuses arguments that no flag has taken."""
    if arguments:
        refuse(f'unknown argument {arguments[0]}; {meant(arguments[0]) or "see --help"}')


def meant(argument: str) -> str:
    """The keys of the config that an unknown flag has the name of, or the flag that is most like it; '' for none."""
    name, _, value = argument.lstrip('-').partition('=')
    known = flags.FLAGS
    keys = flat(known['config'].value.to_dict()) if 'config' in known else {}
    same = [key for key in keys if f'.{key}'.endswith(f'.{name}') and not key.startswith('ranges.')]
    if same:
        return f'the config has {", ".join(f"--config.{key}={value}" for key in same)}'
    return nearest((f'--{flag}' for flag in own_flags()), f'--{name}').strip() if argument.startswith('-') else ''


def override(config: ConfigDict, arguments: list[str]) -> ConfigDict:
    """The config with `--config.x=y` arguments applied; other arguments are refused.

    Its flags are forgotten, for the config of another checkpoint may follow.
    """
    with refusing():
        config_flags.DEFINE_config_dict('config', config, 'Config stored with the checkpoint.', lock_config=True)
    expect_no_more(parse_flags([sys.argv[0], *arguments])[1:])
    overridden = flags.FLAGS.config
    for name in [name for name in flags.FLAGS if name.partition('.')[0] == 'config']:
        delattr(flags.FLAGS, name)
    return overridden


def raised_here(error: BaseException) -> bool:
    """Whether the error is one of this package's own, or a ValueError or FloatingPointError that began in it."""
    if type(error).__module__.startswith('dnr_jax'):
        return True
    began_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    return isinstance(error, ValueError | FloatingPointError) and HERE in began_in.parents


@contextmanager
def refusing() -> Iterator[None]:
    """Whatever is wrong with flags and config files is said in one line: they are the user's."""
    try:
        yield
    except Exception as error:
        refuse(of_flags(error))


def of_flags(error: Exception) -> str:
    """What is wrong with a flag or a config file."""
    words = str(error.args[0] if isinstance(error, KeyError) and error.args else error).replace('\\n', '\n')
    if lacking := re.match('flag --(\\w+)=None: .*other than None', words):
        return f'expected --{lacking[1]}: {help_of(lacking[1])} See --help.'
    if unlike := re.search('Did you mean "(.+?)" instead of "(.+?)"', words):
        return f"the config has no key '{unlike[2]}'. Did you mean '{unlike[1]}'? All keys stand in configs/base.py"
    if unknown := re.fullmatch('["\']+(\\w+)["\']+', words):
        return f"the config has no key '{unknown[1]}'; all keys stand in configs/base.py"
    if isinstance(error, KeyError):
        return f'the config has no such key: {words}; all keys stand in configs/base.py'
    if file := re.search("No such file or directory: '(.+?)'", words):
        return (
            f'found no config file {file[1]} from the folder {Path.cwd()}, nor beside the package, in {HERE.parent}; '
            'give --config=FILE:BACKBONE,NORMS'
        )
    if isinstance(error, flags.Error | AttributeError | OSError):
        return words.replace("module 'config_config'", 'the config file')
    place = traceback.extract_tb(error.__traceback__)[-1]
    file, line = (error.filename, error.lineno) if isinstance(error, SyntaxError) else (place.filename, place.lineno)
    return f'the config cannot be read, {file}, line {line}: {type(error).__name__}: {words}'


def of_device(error: Exception) -> str | None:
    """What is wrong where JAX has found no device, or one has too little memory; None for another error."""
    words, asked = str(error), os.environ.get('JAX_PLATFORMS')
    if traceback.extract_tb(error.__traceback__)[-1].filename.endswith('xla_bridge.py'):
        return (
            f'JAX has found no device{f" of JAX_PLATFORMS={asked}" if asked else ""}. {words} Unset JAX_PLATFORMS to '
            'take what is there, or install the JAX of the accelerator and its driver: see README.md, Start'
        )
    if of_jax(error) and re.search('RESOURCE_EXHAUSTED|DNN library init|CU(DNN|BLAS)_STATUS', words):
        return (
            f'the memory of a device is too small for this ({words.partition(chr(10))[0]}). Less is taken by fewer '
            'clips a step, config.train.micro_batches, config.model.remat=True, config.model.dtype=bfloat16, in scores '
            'by config.test.views_at_once=1; --dry_run tells how much. Where another process has the memory of a GPU, '
            'set XLA_PYTHON_CLIENT_PREALLOCATE=false for both'
        )
    return None


def of_disk(error: Exception) -> str | None:
    """What is wrong where a disk takes no more, or fails; None for another error."""
    if raised_here(error) or not isinstance(error, OSError) or error.errno not in TROUBLE_OF_DISKS:
        return None
    return f'{error}: make room on that disk, or mend it, and start the same command again'


def of_jax(error: Exception) -> bool:
    """Whether a device or its compiler has raised it."""
    return type(error).__name__ in ('JaxRuntimeError', 'XlaRuntimeError')


def of_peer(error: Exception) -> str | None:
    """What has happened where another process of the run is gone; None for another error."""
    parallel = sys.modules.get('dnr_jax.parallel')
    gathered = isinstance(error, ValueError) and not raised_here(error)  # what JAX makes of it then
    if not parallel or not parallel.has_peers() or not (of_jax(error) or gathered):
        return None
    if not re.search('peer|Gloo|NCCL|coordination|heartbeat|UNAVAILABLE', str(error), re.IGNORECASE):
        return None
    return f'another process of the run has died ({error}); the same command goes on from the newest checkpoint'


def refuse(message: str) -> None:
    """Prints the message as one line and exits with status 2."""
    tell(as_line(message), file=sys.stderr)
    sys.exit(2)


def name() -> str:
    """Of this command: 'train.py', 'predict'."""
    path = Path(sys.argv[0])
    return path.parent.name if path.name == '__main__.py' else path.name


def help_of(flag: str) -> str:
    """What it is for, without what absl says of flags that may be repeated."""
    return flags.FLAGS[flag].help.partition(';\n')[0]


def help_text(about: str | None) -> str:
    """What the command says about itself, and its flags: those of configs first."""
    known, listed = flags.FLAGS, own_flags()
    trains = 'config' in known
    rows = {'config': known['config'].help} if trains else {}
    rows['config.KEY=VALUE'] = ANY_KEY if trains else KEYS_OF_USE
    for flag in sorted({*listed} - {'config'}):
        default = known[flag].default
        default = ','.join(default) if isinstance(default, list) else default
        rows[flag] = help_of(flag) + (f' Default: {default}.' if default not in (None, '', False) else '')
    lines = [textwrap.fill(text, 120, initial_indent=f'  --{flag:20} ', subsequent_indent=' ' * 25)
             for flag, text in rows.items()]  # fmt: skip
    return '\n'.join([(about or '').strip(), '', *lines])


def own_flags() -> list[str]:
    """The flags of this command, without those of libraries and keys of configs."""
    known = flags.FLAGS
    own = {known.find_module_defining_flag(flag) for flag in ('workdir', 'out', 'config') if flag in known} | {__name__}
    return [flag for flag in known if known.find_module_defining_flag(flag) in own and '.' not in flag]


def as_line(message: str) -> str:
    """What this command says, on one line."""
    return f'{name()}: {" ".join(message.split())}'


def end(message: str, status: int) -> None:
    """Prints the message as one line and ends the process; one of several at once, for the others may be gone."""
    tell(as_line(message), file=sys.stderr)
    parallel = sys.modules.get('dnr_jax.parallel')  # which one of several has imported; it takes long
    getattr(parallel, 'leave', sys.exit)(status)
