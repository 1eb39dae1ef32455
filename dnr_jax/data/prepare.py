"""Writes a data set to disk, once: `python -m dnr_jax.data.prepare moving_shapes`."""

import argparse
import contextlib
import io
import os
import pathlib
import shutil
import sys

from dnr_jax.data import builder_class
from dnr_jax.registry import choose

# Where tensorflow-datasets itself looks.
DEFAULT_DIR = os.environ.get('TFDS_DATA_DIR', '~/tensorflow_datasets')


def prepare(name: str, *, config: str | None, out: str | os.PathLike, workers: int) -> pathlib.Path:
    """Writes all splits of a data set as ArrayRecord files; does nothing if they are there.

    A run that is killed leaves no half-written data set behind, only a folder `incomplete.*`, which the next
    run removes.

    Args:
      name: a key of DATASETS.
      config: one of the builder's configurations, None for its first.
      out: the folder of all data sets.
      workers: processes that make examples; 0 makes them in this one.

    Returns:
      The folder of the data set.

    Raises:
      ValueError: for an unknown name or configuration, or fewer than 0 workers.
    """
    import tensorflow_datasets as tfds  # not on top: worker processes import this module, and need no TFDS

    if workers < 0:
        raise ValueError(f'The number of workers starts at 0, got {workers}.')
    tfds.disable_progress_bar()  # the builder has its own
    cls = builder_class(name)
    if config is not None:
        choose(cls.builder_configs, config, f'configuration of {name}')
    out = pathlib.Path(out).expanduser()
    builder = cls(data_dir=out, config=config, file_format='array_record', workers=workers)
    folder = pathlib.Path(builder.data_dir)
    if folder.exists():
        print(f'Already prepared: {builder.info.full_name}.')
    else:
        for leftover in folder.parent.glob('incomplete.*'):
            shutil.rmtree(leftover)
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS speaks of downloads of unknown size
            builder.download_and_prepare()
    _report(builder.info, folder)
    return folder


def _report(info, folder: pathlib.Path) -> None:
    counts = ', '.join(f'{split} {info.splits[split].num_examples:,}' for split in info.splits)
    megabytes = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    print(f'{folder}\n{counts} clips, {megabytes:.1f} MB\nNext: python train.py --workdir runs/{info.name}')


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog='python -m dnr_jax.data.prepare', description=__doc__.split(':')[0])
    parser.add_argument('name', help='data set, for example moving_shapes')
    parser.add_argument('--config', help='its configuration; default: its first')
    parser.add_argument('--out', default=DEFAULT_DIR, help='folder of all data sets; default: %(default)s')
    parser.add_argument('--workers', type=int, default=os.cpu_count(), help='processes; default: %(default)s')
    options = parser.parse_args(arguments)
    try:
        prepare(options.name, config=options.config, out=options.out, workers=options.workers)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
