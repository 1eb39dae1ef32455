"""Says what videos show: python -m dnr_jax.predict --workdir=runs/dnr VIDEO...

VIDEO is a file, a folder of frames, or a folder of either. Frames are taken by the test protocol of the checkpoint:
--config.test.clips=10 --config.test.crops=3 changes it. A video that cannot be read is told, and the status is then 1.

With --features, what the network makes of each video before its last layer is written to a file, and nothing predicted.

With --stream, VIDEO is predicted while it goes on, and may be a pipe (-), a camera or an address.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from io import TextIOBase

from absl import flags

from dnr_jax import command
from dnr_jax.command.terminal import tell
from dnr_jax.files import AnyPath, as_path, expect_writable, is_remote, make_folder, written_whole


def main(arguments: list[str]) -> None:
    given = flags.FLAGS
    sources = [argument for argument in arguments if argument == '-' or not argument.startswith('-')]
    changes = [argument for argument in arguments if argument not in sources]
    expect_flags_that_fit(given, sources)
    from dnr_jax import parallel
    from dnr_jax.predict import whole
    from dnr_jax.predict.output import Output

    mesh = parallel.make_mesh()
    found = whole.load(given.workdir, given.checkpoint, partial(command.override, arguments=changes), mesh)
    with ExitStack() as stack:
        machines = open_json(given.json, stack)
        output = Output(found.label_names, given.top, machines is not sys.stdout, machines)
        if given.stream:
            how = {'horizon': given.horizon, 'every': given.every, 'chunk': given.chunk, 'format': given.format}
            failed = print_streams(found, sources, output, **how, protocols=given.protocols)
        elif given.features:
            failed = write_features(found, whole.find(sources), output, as_path(given.features), mesh)
        else:
            paths = whole.find(sources)
            failed = print_videos(found, paths, output, drawings(given, found, paths, mesh), mesh)
    if failed:
        command.end(f'{failed} of the videos could not be read', 1)


def expect_flags_that_fit(given, sources: Sequence[str]) -> None:
    """Refuses, before anything is loaded, flags that have no meaning with the others."""
    if given.stream and (given.annotate or given.maps):
        command.refuse('a stream is read once: expected --annotate and --maps without --stream')
    if given.features and (given.stream or given.annotate or given.maps or given.json):
        command.refuse('--features are all that is asked: expected no --stream, --annotate, --maps or --json with it')
    if given.features and not given.features.endswith(('.npz', '.csv')):
        command.refuse(
            f'--features is a file of arrays or of text: expected FILE.npz or FILE.csv, got {given.features}'
        )
    if '-' in sources and not given.stream:
        command.refuse('standard input is read as a stream: expected --stream with -')
    if (given['class'].value or given.layer) and not given.maps:
        command.refuse('--class and --layer say of what maps are: expected --maps=DIR with them')


def open_json(file: str | None, stack: ExitStack) -> TextIOBase | None:
    """Where lines of JSON go."""
    if file == '-':
        return sys.stdout
    if not file:
        return None
    try:
        path = as_path(file)
        if is_remote(path):
            expect_writable(path.parent)
            path = stack.enter_context(written_whole(path))
        return stack.enter_context(path.open('w'))
    except (OSError, ValueError) as error:
        command.refuse(f'--json is a file to write: {error}')


def print_videos(found, paths: Sequence[AnyPath], output, draws: Sequence, mesh) -> int:
    """Predicts every video as a whole, and draws what is asked for; returns how many could not be read."""
    from dnr_jax.command.bars import bar
    from dnr_jax.predict.whole import predictor

    failed = 0
    with bar(len(paths), 'predicting', ' videos', leave=False, shown=not sys.stdout.isatty()) as progress:
        for prediction in predictor(found, mesh)(paths):
            if prediction.failure:
                failed += 1
                output.failure(str(prediction.path), prediction.failure)
            else:
                output.prediction(str(prediction.path), prediction.logits)
                for draw in draws:
                    draw(prediction)
            progress.update()
    return failed


def write_features(found, paths: Sequence[AnyPath], output, file: AnyPath, mesh) -> int:
    """Writes the features of every video to `file`; returns how many videos could not be read."""
    from dnr_jax.command.bars import bar
    from dnr_jax.predict import features

    expect_writable(file.parent)
    make_folder(file.parent)
    of_videos = {}
    with bar(len(paths), 'features', ' videos', leave=False, shown=True) as progress:
        for extracted in features.extractor(found, mesh)(paths):
            if extracted.failure:
                output.failure(str(extracted.path), extracted.failure)
            else:
                of_videos[str(extracted.path)] = extracted.features
            progress.update()
    features.write(file, of_videos)
    each = f', {len(next(iter(of_videos.values()))):,} each' if of_videos else ''
    tell(f'features of {len(of_videos):,} videos{each}: {file}')
    return len(paths) - len(of_videos)


def drawings(given, found, paths: Sequence[AnyPath], mesh) -> list:
    """What is drawn of each prediction, into folders that are like those of the videos."""
    from dnr_jax.predict import pictures

    for folder in filter(None, (given.annotate, given.maps)):
        expect_writable(as_path(folder))
    places = places_below_one(paths)

    def into(folder, draw, prediction):
        target = as_path(folder) / places[prediction.path]
        make_folder(target.parent)
        draw(prediction, target)

    draws = []
    if given.annotate:
        draw, way = pictures.annotating(found, top=given.top, mesh=mesh)
        tell(f'running predictions: {way}', file=sys.stderr)
        draws.append(partial(into, given.annotate, draw))
    if given.maps:
        draws.append(partial(into, given.maps, pictures.mapping(found, layer=given.layer, label=given['class'].value)))
    return draws


def places_below_one(paths: Sequence[AnyPath]) -> dict[AnyPath, AnyPath]:
    """Where each of these paths lies below the folder that all of them lie below: no '..' leads out of it."""
    whole = {path: path if is_remote(path) else type(path)(os.path.abspath(path)) for path in paths}
    above = above_all([*whole.values()])
    return {path: of.relative_to(above) for path, of in whole.items()}


def above_all(paths: Sequence[AnyPath]) -> AnyPath:
    """The folder that all of these paths lie below."""
    folder = paths[0].parent
    while not all(path.is_relative_to(folder) for path in paths):
        folder = folder.parent
    return folder


def print_streams(
    found,
    sources: Sequence[str],
    output,
    *,
    horizon: int | None,
    every: int,
    chunk: int,
    format: str,
    protocols: Sequence[str] = (),
) -> int:
    """Predicts every source while it goes on, until it ends or Ctrl-C; returns how many could not be read so far.

    Args:
      horizon: see `streaming.endless`; None for the groups of a clip. every: groups from one line to the next. chunk:
        groups that pass the network at once. format, protocols: see `live`.
    """
    from dnr_jax.data.video import live
    from dnr_jax.data.video.errors import VideoError
    from dnr_jax.predict import running

    horizon = running.groups_of_clip(found) if horizon is None else horizon
    predict = running.stream(found, horizon=horizon, groups_at_once=chunk)
    failed = 0
    for source in sources:
        try:
            for some in running.parts(predict(live.frames(source, format=format, protocols=protocols)), every):
                frames, logits = some[-1]
                output.prediction(source, logits, frames=frames)
        except VideoError as error:
            failed += 1
            output.failure(source, error)
        except KeyboardInterrupt:
            break
    return failed


def run() -> None:
    flags.DEFINE_string('workdir', None, 'Folder of a training.', required=True)
    flags.DEFINE_string('checkpoint', 'last', "Which one: 'last', 'best' or a step.")
    flags.DEFINE_integer('top', 5, 'Classes to name.', lower_bound=1)
    flags.DEFINE_string('json', None, 'File for a line of JSON of each prediction; - for standard output.')
    flags.DEFINE_string('features', None, 'File for the features of each video, FILE.npz or FILE.csv.')
    flags.DEFINE_string('annotate', None, 'Folder for videos with the running prediction below their frames.')
    flags.DEFINE_string('maps', None, 'Folder for pictures of where the network looked.')
    flags.DEFINE_string('class', None, 'Name of the class that maps are of; default: the predicted one.')
    flags.DEFINE_string('layer', None, 'Stage that maps are of; default: the last one of 4 x 4 positions or more.')
    flags.DEFINE_bool('stream', False, 'Predict while a video goes on, in constant memory.')
    flags.DEFINE_integer('every', 1, 'Frame groups of a stream from one line to the next.', lower_bound=1)
    flags.DEFINE_integer(
        'horizon', None, 'Frame groups a stream looks back over; 0 for all; default: those of a clip.', lower_bound=0
    )
    flags.DEFINE_integer('chunk', 8, 'Frame groups that pass the network at once; fewer answer sooner.', lower_bound=1)
    flags.DEFINE_string('format', '', "FFmpeg's name for the source of a stream that does not tell: 'v4l2'.")
    flags.DEFINE_list(
        'protocols',
        [],
        "FFmpeg's protocols by which a stream may open what it refers to, such as the files of a playlist.",
    )
    flags.FLAGS.set_gnu_getopt()
    command.run(main)


if __name__ == '__main__':
    run()
