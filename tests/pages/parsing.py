"""Programs of this project, run up to where they have understood their arguments.

Each in a process of its own, for flags are those of a process.
"""

import argparse
import io
import runpy
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from multiprocessing import get_context

from absl import app, flags

# What many programs import, and defines no flags.
SLOW = (
    'benchmarks.program', 'benchmarks.records', 'dnr_jax.command', 'dnr_jax.data.prepare', 'dnr_jax.models',
    'dnr_jax.study.commands', 'dnr_jax.training.setup', 'experiments.short_training', 'scipy.stats',
    'tensorflow_datasets',
)  # fmt: skip
TAKE_WORDS = ('dnr_jax.predict', 'dnr_jax.convert', 'dnr_jax.study')  # beside flags


class Understood(BaseException):
    """Where a program would begin."""


def processes():
    """A context whose processes have the slow imports behind them."""
    context = get_context('forkserver')
    context.set_forkserver_preload(['pages.parsing', *SLOW])
    return context


def refused(arguments: Sequence[str]) -> str | None:
    """What a program, 'train.py' or '-m MODULE', says of arguments that it does not take; None if it takes them."""
    is_module = arguments[0] == '-m'
    name, *rest = arguments[is_module:]
    parse_args = argparse.ArgumentParser.parse_args

    def parsed(*given, **settings):
        parse_args(*given, **settings)
        raise Understood

    def begin(main, argv=None, flags_parser=flags.FLAGS):
        check(name, flags_parser(sys.argv)[1:])
        raise Understood

    argparse.ArgumentParser.parse_args, app.run = parsed, begin
    sys.argv = [name, *rest]
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            run = runpy.run_module if is_module else runpy.run_path
            run(name, run_name='__main__', **({'alter_sys': True} if is_module else {}))
    except Understood:
        return None
    except SystemExit as ended:
        return None if not ended.code and '--help' in rest else said.getvalue()
    except Exception as error:
        return f'{type(error).__name__}: {error}'
    return 'it has read no arguments' if rest else None


def check(name: str, rest: Sequence[str]) -> None:
    """Config and words behind the flags; ValueError, or the exit of the program itself, for what is wrong with them."""
    from configs import base
    from dnr_jax import models
    from dnr_jax.command import arguments
    from dnr_jax.data import builder_class
    from dnr_jax.registry import choose
    from dnr_jax.runs import config_ranges

    overrides = [word for word in rest if word.startswith('--')]
    words = [word for word in rest if word not in overrides]
    if words and name not in TAKE_WORDS:
        raise ValueError(f'{name} takes no {words}')
    if questions := getattr(sys.modules['__main__'], 'QUESTIONS', None):
        choose(questions, (words or [''])[0], 'question')
    if 'config' in flags.FLAGS:
        arguments.expect_no_more(overrides)
        config = flags.FLAGS.config
        builder_class(config.data.name.partition('/')[0])
        models.build(**config.model.to_dict(), classes=2)
    else:
        config = arguments.override(base.get_config(), overrides)
        config.data.name, config.model.backbone = 'moving_shapes', 'resnet18'
    config_ranges.expect(config, closed=False)
