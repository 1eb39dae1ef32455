"""What all commands do alike: arguments, lines on a terminal, progress, what is compiled, and how they end.

    if __name__ == '__main__':
        command.run(main)

A user's mistake ends in one clear line, a bug in its traceback.
"""

from dnr_jax.command import compiled
from dnr_jax.command.arguments import beside, define_config, define_distributed, expect_no_more, override
from dnr_jax.command.ending import end, refuse
from dnr_jax.command.running import run

__all__ = [
    'bars',
    'beside',
    'compiled',
    'config_table',
    'define_config',
    'define_distributed',
    'end',
    'expect_no_more',
    'faults',
    'override',
    'refuse',
    'run',
    'signals',
    'terminal',
]
