"""Flags and configs of a command: how they are defined, read and changed, and what is wrong with them, in one line."""

import os
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from dnr_jax.command import compiled
from dnr_jax.command.config_table import flat
from dnr_jax.command.ending import refuse
from dnr_jax.files import as_path
from dnr_jax.registry import nearest

HERE = Path(__file__).parent.parent  # the package
ANY_KEY = 'Any key of configs/base.py, which says what each is for: --config.train.epochs=8'
KEYS_OF_USE = 'Keys of configs/base.py that say how a trained model is used: --config.test.clips=10'


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


def define_compilation_cache() -> None:
    """The flag of every command that says where compiled programs are kept."""
    flags.DEFINE_string(
        'compilation_cache',
        None,
        "Folder that keeps compiled programs for the next command; '' for none. Default: JAX_COMPILATION_CACHE_DIR, or "
        f'{compiled.folder_of_user()}, at most {compiled.MOST_BYTES // 2**20:,} MiB, of a process that is alone.',
    )


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
