"""Writes a data set to disk, once, for training to read.

python -m dnr_jax.data.prepare moving_shapes
python -m dnr_jax.data.prepare kinetics400 --source DIR --out DIR --workers 16
python -m dnr_jax.data.prepare kinetics400 --source DIR --form jpeg --short_side 256 --frame_step 4
python -m dnr_jax.data.prepare videos --variant gym --source DIR    # yours, in DIR/CLASS/ or DIR/SPLIT/CLASS/
python -m dnr_jax.data.prepare videos --variant gym --source DIR --list train=train.csv --list validation=val.csv

Every row of the annotations ends as a record or as a line of failures.csv. The same command, given again after an
interruption, goes on with what is missing; and with --refresh, after videos have arrived late or labels were
corrected, with those.
"""

import argparse
import contextlib
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence

from absl import logging

from dnr_jax.command import faults
from dnr_jax.command.signals import ending_as_asked
from dnr_jax.command.terminal import as_called, tell
from dnr_jax.data import DATASETS, builder_class, cores, inventory
from dnr_jax.data.annotations.rows import Annotated, Rejected, counted, overlaps, some
from dnr_jax.files import AnyPath, as_path, is_remote, listed
from dnr_jax.registry import choose

# What can be said of each form, and what holds where nothing is said.
STORAGES = {
    'original': {'quality': 90},
    'video': {'short_side': 0, 'keyframe_interval': 16, 'quality': 23, 'frame_step': 1},
    'jpeg': {'short_side': 0, 'quality': 90, 'frame_step': 1},
}
STORING = ('form', 'short_side', 'keyframe_interval', 'quality', 'frame_step')
DEFAULT_DIR = '~/tensorflow_datasets'  # as in configs/base.py


def prepare(builder, effort, *, refresh: bool) -> AnyPath:
    """Writes all splits of a data set as ArrayRecord files, unless they are there. Returns their folder.

    Args:
      builder: a `VideoBuilder`.
      effort: its `Effort`.
      refresh: whether, where they are there, shards are written again of which rows that were rejected could become
        records now, or labels are others.
    Raises ValueError as `VideoBuilder.prepare` does.
    """
    from dnr_jax.data import metadata

    folder = as_path(builder.data_dir)
    there = (folder / inventory.INVENTORY).exists() if is_remote(folder) else folder.is_dir() and any(folder.iterdir())
    if not there:
        builder.prepare(effort)
    else:
        metadata.read(folder)  # what is damaged is told, and not that it is prepared
        late = compare(builder, folder, refresh)
        if refresh:
            builder.prepare(effort)
        else:
            tell(f'Already prepared: {builder.info.full_name}. To prepare it anew, delete its folder.')
            if late:
                tell(f'note: {late:,} rejected rows could become records now: --refresh tries them again')
    found, rejected = inventory.read(folder)
    tell(report(found, rejected, folder, builder.trained_by))
    print_notes(builder.annotated, found.get('unseen', []))
    return folder


def print_notes(annotated: Annotated, unseen: Sequence[str]) -> None:
    """What is to be known of the rows, though nothing may be wrong with it; `unseen` are classes without a record."""
    if unseen:
        tell(f'note: {len(unseen)} of {len(annotated.label_names)} classes have no video to learn from: {some(unseen)}')
    for (one, other), count in overlaps(annotated).items():
        tell(f'note: {count:,} ids stand in {one} and in {other}')
    for note in annotated.notes:
        tell(f'note: {note}')
    if left_out := annotated.left_out:
        total = sum(count for _, count in left_out)
        tell(f'note: {total:,} files are neither videos nor images by their names: {counted(left_out)}')


def compare(builder, folder: AnyPath, refresh: bool) -> int:
    """How many rows that were rejected from a prepared data set could become records now.

    Raises ValueError if it is not the one of the builder, if labels are others and it is not refreshed, or if a refresh
    would take records away.
    """
    found, rejected = inventory.read(folder)
    if differing := builder.differences(found):
        raise ValueError(
            f"'{folder}' is prepared already, of other rows or with other settings: {'; '.join(differing)}. Delete "
            'it, or give another --out or --variant.'
        )
    if (relabelled := builder.relabelled()) and not refresh:
        row, there = relabelled[0]
        here = row.detail if isinstance(row, Rejected) else _named(row.label)
        raise ValueError(
            f"'{folder}' is prepared already, and {len(relabelled):,} of its records have other labels now: '{row.id}' "
            f'of {row.split} is {_named(there)} there, and here {here}. --refresh prepares their shards again; or give '
            'another --out or --variant.'
        )
    late, gone = builder.changes(rejected)
    if refresh and gone:
        raise ValueError(
            f'{len(gone):,} records would be none now, for example {gone[0].path}, {gone[0].reason}: a refresh '
            'prepares shards as a whole, and would lose them. Mend that, or leave the data set as it is.'
        )
    return len(late)


def _named(label: str | None) -> str:
    return 'without a label' if label is None else f"'{label}'"


def open_builder(options: argparse.Namespace):
    """The builder of the data set that the options name, checked."""
    import tensorflow_datasets as tfds  # slow

    tfds.disable_progress_bar()  # there is one of our own
    if options.workers < 0 or options.seconds <= 0:
        raise ValueError(
            f'Expected --workers from 0 and --seconds above 0, got {options.workers}, {options.seconds:g}.'
        )
    cls = builder_class(options.name)
    out = as_path(options.out).expanduser()
    if '/' in (options.variant or ''):
        raise ValueError(f"A --variant is a name without '/', got '{options.variant}'.")
    if cls.default_config is None:
        with _silent():
            return cls(data_dir=out, variant=options.variant, origin=origin(options))
    given = [f'--{key}' for key in ('source', 'annotations', 'labels', *STORING) if getattr(options, key) is not None]
    if given or options.list:
        raise ValueError(f'{options.name} is made by the project itself: expected no {", ".join(given) or "--list"}.')
    if options.variant is not None:
        choose(cls.builder_configs, options.variant, f'variant of {options.name}')
    config = options.variant or cls.default_config
    with inventory.told_as_damage(out / options.name / config):  # TFDS reads what lies there
        return cls(data_dir=out, config=config, file_format='array_record')


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """TFDS warns of every configuration that is not in its catalogue."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def origin(options: argparse.Namespace):
    """Where the videos come from and how they are stored. Raises ValueError for what cannot be."""
    from dnr_jax.data.builders.recorded import Origin
    from dnr_jax.data.storage import Storage
    from dnr_jax.data.video.errors import Limits

    if options.source is None:
        raise ValueError(f'{options.name} is made of videos you have: expected --source=FOLDER.')
    source = as_path(options.source).expanduser()
    annotations = as_path(options.annotations).expanduser() if options.annotations else source
    for path in (source, annotations):
        if not path.is_dir():
            raise ValueError(f"Expected a folder, got '{path}'.")
    lists = list_files(options)
    if options.labels and not lists:
        raise ValueError(
            'Expected --labels beside --list only: elsewhere class names come from folders or annotations.'
        )
    return Origin(
        source=source,
        annotations=annotations,
        storage=Storage(**storage_settings(options)),
        limits=Limits(pixels=options.most_pixels, frames=options.most_frames, bytes=options.most_bytes),
        lists=lists,
        labels=as_path(options.labels).expanduser() if options.labels else None,
    )


def list_files(options: argparse.Namespace) -> dict[str, AnyPath]:
    """The list file of each split; ValueError for what is none, or for two of one split."""
    lists = {}
    for split, _, file in (item.partition('=') for item in options.list):
        if not file or options.name != 'videos':
            raise ValueError(f'Expected --list=SPLIT=FILE, for `videos` only, got {options.list}.')
        if split in lists:
            raise ValueError(
                f"Expected one --list for each split, got '{lists[split]}' and '{file}' for '{split}'. Join them in "
                'one file, or give them to different splits.'
            )
        lists[split] = as_path(file).expanduser()
    return lists


def storage_settings(options: argparse.Namespace) -> dict:
    """How videos are stored; ValueError for an option that the form does not take."""
    form = options.form or 'original'
    defaults = choose(STORAGES, form, 'form of storage')
    for key in STORING[1:]:
        if getattr(options, key) is not None and key not in defaults:
            raise ValueError(
                f"--{key} says nothing of the form '{form}': expected {', '.join(defaults) or 'no other'}."
            )
    unused = {'short_side': 0, 'keyframe_interval': 1, 'quality': 90, 'frame_step': 1}
    given = {key: getattr(options, key) for key in defaults if getattr(options, key) is not None}
    return {'form': form, **unused, **defaults, **given}


def report(found: dict, rejected: list, folder: AnyPath, trained_by: str) -> str:
    """What was written, what was not, and the command that goes on; `trained_by` see `VideoBuilder`."""
    megabytes = sum(listed(folder).values()) / 1e6
    lines = [str(folder), inventory.to_text(found['splits']), f'{len(found["labels"])} classes, {megabytes:,.1f} MB']
    if rejected:
        lines.append(f'What was rejected, and why: {folder / inventory.FAILURES}')
    return '\n'.join([*lines, next_command(found['splits'], folder, trained_by)])


def next_command(splits: Mapping[str, Mapping], folder: AnyPath, trained_by: str) -> str:
    """To train on it, or, where there is nothing to train on, to score a model on it."""
    dir, (name, variant) = folder.parents[2], folder.parts[-3:-1]
    where = '' if dir == as_path(DEFAULT_DIR).expanduser() else f' --config.data.dir={shlex.quote(str(dir))}'
    data = f'--config.data.name={shlex.quote(f"{name}/{variant}")}{where}'
    labelled = {split: counts['records'] - counts['unlabelled'] for split, counts in splits.items()}
    if not labelled.get('train'):
        return f'To score a model on it: python eval.py --workdir=... {data} --config.test.split={next(iter(splits))}'
    run = shlex.quote('runs/' + '_'.join(filter(None, (name.removeprefix('videos'), variant.rpartition('-')[0]))))
    return f'To train on it: python train.py --config=configs/{trained_by}.py {data} --workdir={run}'


def add_origin(parser: argparse.ArgumentParser) -> None:
    """The options that say what a data set is made of."""
    add = parser.add_argument
    add('name', help=f'data set: {", ".join(DATASETS)}')
    add('--variant', help='which one, where the annotations have several: split1; a name, for `videos`')
    add('--source', help='folder of the videos')
    add('--annotations', help='folder of the official files; default: that of the videos')
    add('--list', action='append', default=[], metavar='SPLIT=FILE', help="list of one's own, lines of: path label")
    add('--labels', help="class names for one's own lists, one a line")
    add('--out', default=DEFAULT_DIR, help='folder of all data sets; default: %(default)s')
    add('--workers', type=int, default=cores.allotted(), help='processes; default: cores it may use, %(default)s')
    add('--seconds', type=float, default=120, help='for one video, after which it is given up; default: %(default)g')
    add = parser.add_argument_group('how videos are stored').add_argument
    add(
        '--form',
        help='original (the default; frames that are no JPEG become it), video (encoded again) or jpeg (frames)',
    )
    add('--short_side', type=int, help='pixels of `video` and `jpeg`; default: as it is')
    add('--keyframe_interval', type=int, help='frames, of `video`; default: 16')
    add('--quality', type=int, help='of `video`, 0 (best) to 51, default 23; of JPEG images, to 100 (best), default 90')
    add('--frame_step', type=int, help='of `video` and `jpeg`: every how many frames one is stored; default: 1')
    add = parser.add_argument_group('what a video may be, or it is rejected').add_argument
    add('--most_pixels', type=int, default=4096 * 2304, help='of a frame; default: %(default)s')
    add('--most_frames', type=int, default=100_000, help='default: %(default)s')
    add('--most_bytes', type=int, default=2**31, help='default: %(default)s')


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 2 for a user's mistake, 1 for a bug."""
    parser = argparse.ArgumentParser(
        prog=as_called('python -m dnr_jax.data.prepare'),
        description=as_called(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_origin(parser)
    parser.add_argument(
        '--refresh',
        action='store_true',
        help='bring a prepared data set up to date: rejected rows that could be records now, corrected labels',
    )
    parser.add_argument('--strict', action='store_true', help='stop at the first row that cannot become a record')
    parser.add_argument(
        '--beam', metavar='OPTIONS', help='Apache Beam in place of processes: --beam=--runner=DirectRunner'
    )
    options = parser.parse_args(arguments)
    try:
        from dnr_jax.data.builders.video import Effort

        effort = Effort(workers=options.workers, seconds=options.seconds, strict=options.strict, beam=options.beam)
        prepare(open_builder(options), effort, refresh=options.refresh)
    except Exception as error:
        return faults.status(error)
    return 0


def run() -> None:
    with ending_as_asked('prepare'):
        sys.exit(main())


if __name__ == '__main__':
    run()
