"""A folder as a user of Kinetics has it: encoded clips, official annotation files, and everything that goes wrong."""

import csv
import io
import pathlib
from typing import NamedTuple

import av
import numpy as np

from dnr_jax.data.video.encoding import encode

CLASSES = 400


class Tree(NamedTuple):
    """What was planted: reasons by split and id, and how many rows there are of each split."""

    faults: dict[tuple[str, str], str]
    rows: dict[str, int]


def plant(folder: pathlib.Path, *, train: int, validation: int, test: int, size: int, frames: int) -> Tree:
    """Writes the tree; each split holds so many good clips, beside the bad ones.

    Training is in folders of classes, validation flat, test has no labels.
    """
    rng = np.random.default_rng(0)
    labels = [
        f'class {number:03d}, "quoted"' if number % 50 == 7 else f'class {number:03d}' for number in range(CLASSES)
    ]
    tables = {'train': [], 'validate': [], 'test': []}
    faults = {}

    def add(split: str, word: str, count: int, place: str) -> None:
        for index in range(count):
            youtube_id = f'{"-_"[index % 2]}{split[:2]}{index:08d}'
            label = labels[index % CLASSES]
            path = folder / place.format(label.replace('"', '')) / f'{youtube_id}_{index:06d}_{index + 10:06d}.mp4'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_clip(rng, frames, size))
            tables[word].append([label, youtube_id, f'{index}.0', f'{index + 10}.0', word])

    add('train', 'train', train, 'train/{}')
    add('validation', 'validate', validation, 'val')
    add('test', 'test', test, 'test')
    bad = {
        'missing': None,
        'unreadable': b'this is not a video' * 100,
        'empty': b'',
        'no video stream': _sound(),
        'damaged': _damaged(_clip(rng, frames, size)),
        'too short': _clip(rng, 1, size),
        'too large': _clip(rng, 2, 1024),
    }
    for split, word in (('train', 'train'), ('validation', 'validate')):
        for number, (reason, content) in enumerate(bad.items()):
            youtube_id = f'bad{split[:2]}{number:06d}'
            id = f'{youtube_id}_000000_000010'
            tables[word].insert(number, [labels[0], youtube_id, '0', '10', word])
            faults[split, id] = reason
            if content is not None:
                (folder / f'{id}.mp4').write_bytes(content)
    tables['train'].append(tables['train'][-1])
    duplicate = tables['train'][-1]
    faults['train', f'{duplicate[1]}_{int(float(duplicate[2])):06d}_{int(float(duplicate[3])):06d}'] = 'duplicate id'
    for word, rows in tables.items():
        header = ['label', 'youtube_id', 'time_start', 'time_end', 'split']
        if word == 'test':
            header, rows = header[1:], [row[1:] for row in rows]
        with (folder / f'{word}.csv').open('w', newline='') as file:
            csv.writer(file).writerows([header, *rows])
    rows = {'train': len(tables['train']), 'validation': len(tables['validate']), 'test': len(tables['test'])}
    return Tree(faults, rows)


def _clip(rng: np.random.Generator, frames: int, size: int) -> bytes:
    clip = rng.integers(0, 256, (1, 4, 4, 3)).repeat(frames, 0).repeat(size // 4, 1).repeat(size // 4, 2)
    return encode(clip.astype(np.uint8), 25, quantizer=30, keyframe_interval=4)


def _damaged(video: bytes) -> bytes:
    """The frames in the middle are overwritten."""
    start = video.index(b'mdat') + 4
    end = video.index(b'moov') - 4
    third = (end - start) // 3
    return video[: start + third] + b'\0' * third + video[start + 2 * third :]


def _sound() -> bytes:
    file = io.BytesIO()
    with av.open(file, 'w', format='mp4') as container:
        stream = container.add_stream('aac', rate=8000)
        stream.layout = 'mono'
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format='fltp', layout='mono')
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()
