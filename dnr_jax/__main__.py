"""Lists the commands: python -m dnr_jax"""

from typing import NamedTuple

from dnr_jax.command.terminal import tell


class Command(NamedTuple):
    """Of an installed package `dnr-NAME`, and `python -m MODULE` anywhere."""

    module: str
    does: str


COMMANDS = {
    'prepare': Command('dnr_jax.data.prepare', 'writes a data set to disk, once, for training to read'),
    'check': Command('dnr_jax.data.check', 'reads a data set through, and lists what is damaged'),
    'train': Command('dnr_jax.training', 'trains a model; the same command goes on where it stopped'),
    'eval': Command('dnr_jax.evaluation', 'scores a trained model'),
    'compare': Command('dnr_jax.compare', 'says which of two scored models is better, and how sure that is'),
    'predict': Command('dnr_jax.predict', 'says what videos show'),
    'study': Command('dnr_jax.study', 'asks a trained model what its relay does'),
    'statistics-report': Command('dnr_jax.statistics_report', 'says why evaluation falls behind training mode'),
    'convert': Command('dnr_jax.convert', 'makes a checkpoint from weights of PyTorch'),
    'export': Command('dnr_jax.export', 'writes a trained model as one file that JAX alone can run'),
}


def main() -> None:
    rows = [(f'dnr-{name}', f'python -m {of.module}', of.does) for name, of in COMMANDS.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        tell('  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    tell('\nEach tells more with --help. Configs, as configs/moving_shapes.py, lie beside the package.')


if __name__ == '__main__':
    main()
