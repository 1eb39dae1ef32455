"""Makes clips of single words of the GRID corpus, from its videos and alignments as their makers give them.

    python -m experiments.grid_words --source GRID --out grid_words
    python -m experiments.grid_words --source GRID --out grid_moved --timing=moved
    python -m dnr_jax.data.prepare videos --variant grid_words --source grid_words --form jpeg --short_side 54

GRID is a folder with SENTENCE.mpg and SENTENCE.align of one speaker or of several, in folders of any kind. Every word
becomes a clip of 16 frames at 25 a second, 80 x 80 pixels: a square of 84 around the mouth, which is what moves most in
the lower half of the picture. Where the word lies in its clip is said by --timing:

    cut     the middle of the word lies up to 4 frames beside that of the clip
    moved   the word lies anywhere in the clip, as a whole where it is short enough
    paced   as `cut`, played at 0.7 to 1.4 times its speed

Draws depend on sentence, word and timing alone. Of every 20 sentences 14 are for training, 2 for validation and 4 for
the test, whoever says them: no sentence is on two sides.

Source: Cooke, Barker, Cunningham, Shao, JASA 2006; corpus: DOI 10.5281/zenodo.3625687. An alignment has lines of start,
end and word, 1,000 units to a frame.
"""

import argparse
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from dnr_jax.command.bars import bar
from dnr_jax.data.video.decoding import FILMED, every_frame
from dnr_jax.data.video.encoding import encode
from dnr_jax.files import written_whole

UNITS, FPS = 1000, 25  # of an alignment to a frame; frames a second
FRAMES, SIDE, CROP = 16, 80, 84  # of a clip; pixels of a clip, and of the square in the original
LIPS = 48, 32  # pixels, width and height
NEAR = 4  # frames that the middle of a word may lie beside that of its clip
PACES = 0.7, 1.4
TIMINGS = 'cut', 'moved', 'paced'
SILENCE = 'sil', 'sp'
SPLITS = ('train',) * 14 + ('validation',) * 2 + ('test',) * 4


class Word(NamedTuple):
    """Where a word is said, in frames."""

    name: str
    start: float
    end: float


def read_alignment(path: Path) -> list[Word]:
    """The words of a sentence in their order; ValueError for a line that is none."""
    words = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        parts = line.split()
        if len(parts) != 3 or not (parts[0].isdigit() and parts[1].isdigit()):
            raise ValueError(f'{path}, line {number}: expected start, end and word, got {line!r}.')
        if parts[2] not in SILENCE:
            words.append(Word(parts[2], int(parts[0]) / UNITS, int(parts[1]) / UNITS))
    return words


def frames_of(word: Word, timing: str, rng: np.random.Generator, length: int) -> np.ndarray:
    """Which of the `length` frames of a sentence become the clip of a word, [FRAMES]; the ends are repeated."""
    pace = rng.uniform(*PACES) if timing == 'paced' else 1.0
    near = max(NEAR, (FRAMES - (word.end - word.start)) / 2) if timing == 'moved' else NEAR
    middle = (word.start + word.end) / 2 + rng.uniform(-near, near)
    frames = np.rint(middle + (np.arange(FRAMES) - (FRAMES - 1) / 2) * pace).astype(int)
    return np.clip(frames, 0, length - 1)


def mouth(frames: np.ndarray) -> np.ndarray:
    """The square around the mouth, [T SIDE SIDE 3], of uint8 [T H W 3]: it is what moves most in the lower half."""
    _, H, W, _ = frames.shape
    if H < 2 * CROP or W < CROP:
        raise ValueError(f'Expected frames of a face, {W} x {H} being too small for a square of {CROP} pixels.')
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]).astype(np.float32)
    motion = np.abs(np.diff(grey, axis=0)).mean(axis=0)
    motion[: H // 2] = 0
    of_lips = cv2.boxFilter(motion, -1, LIPS, borderType=cv2.BORDER_CONSTANT)
    y, x = np.unravel_index(of_lips.argmax(), of_lips.shape)
    top, left = np.clip((y - CROP // 2, x - CROP // 2), 0, (H - CROP, W - CROP))
    square = frames[:, top : top + CROP, left : left + CROP]
    return np.stack([cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in square])


def clips_of(frames: np.ndarray, words: list[Word], sentence: str, timing: str) -> Iterator[tuple[str, np.ndarray]]:
    """Name and frames [FRAMES H W 3] of the clip of every word, from those of the sentence."""
    for number, word in enumerate(words, start=1):
        rng = np.random.default_rng(zlib.crc32(f'{sentence} {number} {timing}'.encode()))
        yield f'{word.name}/{sentence}-{number}.mp4', frames[frames_of(word, timing, rng, len(frames))]


def split_of(sentence: str) -> str:
    """The split of a sentence, whoever says it."""
    return SPLITS[zlib.crc32(sentence.encode()) % len(SPLITS)]


def find(source: Path) -> tuple[list[tuple[Path, Path]], list[Path]]:
    """Video and alignment of every sentence, by name and, where several speakers say it, by folder; and videos without.

    ValueError if there is none.
    """
    alignments = {(path.parent.name, path.stem): path for path in sorted(source.rglob('*.align'))}
    by_name = {name: path for (_, name), path in alignments.items()}
    one_speaker = len(by_name) == len(alignments)
    found, lacking = [], []
    for video in sorted(source.rglob('*.mpg')):
        alignment = alignments.get((video.parent.name, video.stem)) or (one_speaker and by_name.get(video.stem))
        found.append((video, alignment)) if alignment else lacking.append(video)
    if not found:
        raise ValueError(
            f'Expected SENTENCE.mpg and SENTENCE.align in {source}, got {len(lacking)} videos and {len(alignments)} '
            'alignments, none of the same sentence.'
        )
    return found, lacking


def make(source: Path, out: Path, timing: str) -> None:
    """Writes the clips of all words, split by split and word by word, as whole files."""
    found, lacking = find(source)
    written = 0
    with bar(len(found), 'sentences', ' sentences', leave=True) as shown:
        for video, alignment in found:
            frames = mouth(np.stack(list(every_frame(video.read_bytes(), step=1, limits=FILMED))))
            for name, clip in clips_of(frames, read_alignment(alignment), video.stem, timing):
                path = out / split_of(video.stem) / name
                path = path.with_name(f'{video.parent.name}-{path.name}')
                path.parent.mkdir(parents=True, exist_ok=True)
                with written_whole(path) as unfinished:
                    unfinished.write_bytes(encode(clip, FPS, quantizer=18, keyframe_interval=8))
                written += 1
            shown.update()
    print(f'{written:,} clips in {out}; {len(lacking)} videos without an alignment {[*map(str, lacking[:3])]}')


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m experiments.grid_words', description=__doc__.split('\n')[0])
    parser.add_argument('--source', type=Path, required=True, help='folder of SENTENCE.mpg and SENTENCE.align')
    parser.add_argument('--out', type=Path, required=True, help='folder of the clips, by split and word')
    parser.add_argument('--timing', choices=TIMINGS, default='cut')
    options = parser.parse_args()
    try:
        make(options.source, options.out, options.timing)
    except ValueError as error:
        parser.error(str(error))


if __name__ == '__main__':
    main()
