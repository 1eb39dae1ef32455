"""How fast clips are read: storage forms, samplings and numbers of workers, against plain decoding, in turns.

    python -m benchmarks.loading --videos=24 --rounds=3
    python -m benchmarks.loading --only=memory --clips=10000
    python -m benchmarks.loading --only=stall

Videos of 300 frames of 340 x 256, drawn here, are prepared in every form and read through the training pipeline of
Kinetics-400, augmentation and batching included. `plain` is what a loader does that knows nothing: PyAV decodes the
whole file, and the frames that are needed are taken; `decord` and `torchcodec`, with both of its ways to seek, are
measured where they are installed.
"""

import argparse
import contextlib
import functools
import importlib.util
import io
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks import records
from configs import kinetics400
from dnr_jax.data import cores, prepare
from dnr_jax.data.pipeline import train_batches
from dnr_jax.data.sampling import SAMPLINGS
from dnr_jax.data.source import open_split
from dnr_jax.data.transforms import train_transform
from dnr_jax.data.video.encoding import reencode
from dnr_jax.files import written_whole

FRAMES, HEIGHT, WIDTH = 300, 256, 340
BATCH = 8
FORMS = {
    'original': [],
    'video256': ['--form=video', '--short_side=256', '--keyframe_interval=16'],
    'jpeg256': ['--form=jpeg', '--short_side=256'],
    'jpeg256step8': ['--form=jpeg', '--short_side=256', '--frame_step=8'],
}


def draw_video(seed: int) -> Iterator[np.ndarray]:
    """A textured picture that pans and zooms behind noise, about as hard to encode as a film."""
    rng = np.random.default_rng(seed)
    texture = sum(
        cv2.resize(rng.standard_normal((n, n, 3)).astype(np.float32), (640, 640), interpolation=cv2.INTER_CUBIC) * s
        for n, s in ((6, 40), (40, 20), (200, 12))
    )
    for t in range(FRAMES):
        zoom, angle = 1 + 0.3 * np.sin(t / 60 + seed), 10 * np.sin(t / 45)
        matrix = cv2.getRotationMatrix2D((320 + 60 * np.sin(t / 50), 320), angle, zoom)
        matrix[:, 2] -= (320 - WIDTH / 2, 320 - HEIGHT / 2)
        image = cv2.warpAffine(texture, matrix, (WIDTH, HEIGHT)) + 3 * rng.standard_normal((HEIGHT, WIDTH, 1))
        yield np.clip(image + 128, 0, 255).astype(np.uint8)


def prepare_all(folder: Path, videos: int, workers: int) -> None:
    """Draws the videos that are missing, a keyframe every 250 frames as in x264, and prepares them in every form."""
    source = folder / 'source'
    for number in range(videos):
        path = source / f'{"ab"[number % 2]}/{number:04d}.mp4'
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as unfinished:
                unfinished.write_bytes(reencode(draw_video(number), short_side=0, keyframe_interval=250, quality=23))
    for options in FORMS.values():
        command = [
            'videos',
            '--variant=drawn',
            f'--source={source}',
            f'--out={folder}',
            f'--workers={workers}',
            *options,
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            assert prepare.main(command) == 0


def loader_settings(sampling: str) -> dict:
    """Those of Kinetics-400."""
    config = kinetics400.get_config()
    clip = {**config.clip, 'sampling': sampling}
    order = {'balanced_sampling': config.train.balanced_sampling, 'seed': 0, 'shard_index': 0, 'shard_count': 1}
    return {**clip, **config.augment.to_dict(), 'damaged': 'stop', **order}


def read(folder: Path, form: str, sampling: str, workers: int, clips: int) -> tuple[float, float]:
    """(clips per second, CPU seconds per clip) of the pipeline, once its workers have begun."""
    source = open_split(f'videos/drawn-{form}', folder, 'train')
    batches = train_batches(source, **loader_settings(sampling), batch_size=BATCH, start_step=0, workers=workers)
    ahead = 2 + 2 * (workers or cores.allotted())  # batches that workers or threads read before they are asked for
    with contextlib.closing(batches):
        for _ in range(ahead):
            next(batches)
        started, before = time.perf_counter(), cpu_seconds()
        timed = max(clips // BATCH, 4 * ahead)
        for _ in range(timed):
            next(batches)
        clips = timed * BATCH
        return clips / (time.perf_counter() - started), (cpu_seconds() - before) / clips


def cpu_seconds() -> float:
    """Of this process and its workers."""
    ticks = 0
    for pid in processes():
        with contextlib.suppress(FileNotFoundError):
            ticks += sum(map(int, Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[11:13]))
    return ticks / os.sysconf('SC_CLK_TCK')


def processes() -> list[str]:
    """This one and its children, of whatever thread."""
    children = [file.read_text().split() for file in Path('/proc/self/task').glob('*/children')]
    return [str(os.getpid()), *itertools.chain.from_iterable(children)]


def decode_plainly(video: Path, indices: np.ndarray) -> np.ndarray:
    """Everything is decoded and converted, then the frames are taken."""
    with av.open(str(video)) as container:
        container.streams.video[0].thread_count = 1
        frames = [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]
    return np.stack([frames[index] for index in indices])


def decode_by_decord(video: Path, indices: np.ndarray) -> np.ndarray:
    """What decord's users write."""
    import decord

    return decord.VideoReader(str(video), num_threads=1).get_batch(indices).asnumpy()


def decode_by_torchcodec(video: Path, indices: np.ndarray, seek_mode: str) -> np.ndarray:
    """What torchcodec's users write, on one core."""
    import torch
    from torchcodec.decoders import VideoDecoder

    torch.set_num_threads(1)  # idle threads of PyTorch keep other cores busy
    decoder = VideoDecoder(str(video), dimension_order='NHWC', num_ffmpeg_threads=1, seek_mode=seek_mode)
    return decoder.get_frames_at(indices.tolist()).data.numpy()


# Ways to read from files, by the module they need.
READERS = {
    'plain': ('av', decode_plainly),
    'decord': ('decord', decode_by_decord),
    'torchcodec, approximate': ('torchcodec', functools.partial(decode_by_torchcodec, seek_mode='approximate')),
    'torchcodec, exact': ('torchcodec', functools.partial(decode_by_torchcodec, seek_mode='exact')),
}


def read_files(folder: Path, decode: Callable, sampling: str, clips: int) -> tuple[float, float]:
    """(clips per second, CPU seconds per clip) in one process, with the same sampling and augmentation."""
    files = sorted((folder / 'source').rglob('*.mp4'))
    settings = loader_settings(sampling)
    augment = {key: value for key, value in kinetics400.get_config().augment.to_dict().items() if key != 'repeats'}
    transform = train_transform(label_names=('a', 'b'), **augment)
    decode(files[0], np.arange(2))  # imports what it needs
    rng, before, started = np.random.default_rng(0), cpu_seconds(), time.perf_counter()
    for number in range(clips):
        indices = SAMPLINGS[sampling].train(FRAMES, frames=settings['frames'], stride=settings['stride'], rng=rng)
        transform(decode(files[number % len(files)], indices), 0, rng)
    return clips / (time.perf_counter() - started), (cpu_seconds() - before) / clips


def compare(folder: Path, rounds: int) -> dict:
    """The record of every way to read, in turns."""
    rows = {}
    for sampling in ('dense', 'segments'):
        for form in FORMS:
            clips = 400 if 'jpeg' in form else 64
            for workers in (0, 1, 2) if form in ('original', 'jpeg256step8') else (1,):
                rows[form, sampling, workers] = (read, folder, form, sampling, workers, clips)
        for name, (module, decode) in READERS.items():
            if importlib.util.find_spec(module):
                rows[name, sampling, ''] = (read_files, folder, decode, sampling, 16 if name == 'plain' else 64)
    results = {row: [] for row in rows}
    for _ in range(rounds):
        for row, (function, *arguments) in rows.items():
            results[row].append(function(*arguments))
    measured = []
    for (form, sampling, workers), columns in results.items():
        wall, cpu = (statistics.median(column) for column in zip(*columns, strict=True))
        plain = statistics.median(cpu for _, cpu in results['plain', sampling, ''])
        measured.append({
            'form': form,
            'sampling': sampling,
            'workers': str(workers),
            'clips_per_second': wall,
            'per_core': 1 / cpu,
            'kilobytes': kilobytes(folder, form),
            'to_plain': plain / cpu,
        })  # fmt: skip
        print(
            ' '.join(f'{cell:>13.1f}' if isinstance(cell, float) else f'{cell:>13}' for cell in measured[-1].values())
        )
    return {'measured': 'pace', 'rows': measured, 'rounds': rounds}


def kilobytes(folder: Path, form: str) -> float:
    """Mean size of a stored video."""
    name = 'source' if form in READERS else f'videos/drawn-{form}'
    files = [path for path in (folder / name).rglob('*') if path.suffix == '.mp4' or '.array_record' in path.name]
    return sum(path.stat().st_size for path in files) / 1000 / len(list((folder / 'source').rglob('*.mp4')))


def follow_memory(folder: Path, clips: int) -> dict:
    """The record of resident memory of this process and its workers while many clips are read."""
    source = open_split('videos/drawn-jpeg256step8', folder, 'train')
    settings = loader_settings('dense')
    curve = []
    with contextlib.closing(train_batches(source, **settings, batch_size=BATCH, start_step=0, workers=2)) as batches:
        for step in range(clips // BATCH):
            next(batches)
            if step % (clips // BATCH // 10) == clips // BATCH // 10 - 1:
                curve.append(resident_megabytes())
                print(f'{(step + 1) * BATCH:>7,} clips  {curve[-1]:,.0f} MB', flush=True)
    first, *others = curve
    return {
        'measured': 'memory',
        'megabytes': {'first': first, 'lowest after': min(others), 'highest after': max(others)},
        'clips': clips,
        'workers': 2,
    }


def resident_megabytes() -> float:
    """Of this process and its workers, memory they share counted once for each."""
    total = 0
    for pid in processes():
        with contextlib.suppress(FileNotFoundError):
            status = Path(f'/proc/{pid}/status').read_text()
            total += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith('VmRSS'))
    return total / 1000


def follow_stalls(folder: Path, steps: int) -> dict:
    """The record of how long a step waits for its batch, the model taking 1.0 to 1.5 times as long as the loader."""
    source = open_split('videos/drawn-jpeg256step8', folder, 'train')
    pace, _ = read(folder, 'jpeg256step8', 'dense', 2, 800)
    waiting = {}
    for slower in (1.0, 1.1, 1.25, 1.5):
        step_seconds, waited = slower * BATCH / pace, 0.0
        batches = train_batches(source, **loader_settings('dense'), batch_size=BATCH, start_step=0, workers=2)
        with contextlib.closing(batches):
            for step in range(steps + 20):
                started = time.perf_counter()
                next(batches)
                waited += (time.perf_counter() - started) * (step >= 20)
                time.sleep(step_seconds)
        waiting[str(slower)] = waited / (steps * step_seconds)
        print(f'model {slower:.2f} of the loader: waits {waiting[str(slower)]:.2%} of its time', flush=True)
    return {'measured': 'stall', 'waiting': waiting}


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.loading', description=__doc__.split(':')[0])
    parser.add_argument('--videos', type=int, default=24)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--only', choices=('compare', 'memory', 'stall'))
    parser.add_argument('--clips', type=int, default=10_000, help='of the memory curve')
    parser.add_argument('--folder', help='keeps the videos from run to run')
    parser.add_argument('--record', action='store_true', help='adds the results to benchmarks/records/loading.jsonl')
    parser.add_argument('--note', default='', help='goes into the record: what else the machine was doing, say')
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(options.folder or stack.enter_context(tempfile.TemporaryDirectory()))
        prepare_all(folder, options.videos, cores.allotted())
        measures = {
            'compare': lambda: compare(folder, options.rounds),
            'memory': lambda: follow_memory(folder, options.clips),
            'stall': lambda: follow_stalls(folder, 200),
        }
        for measure in [measures[options.only]] if options.only else measures.values():
            measured = measure()
            if options.record:
                records.add(records.FOLDER / 'loading.jsonl', measured | {'note': options.note})


if __name__ == '__main__':
    main()
