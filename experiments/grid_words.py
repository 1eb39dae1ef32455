"""Makes clips of single words of the GRID corpus, from its videos and alignments as their makers give them.

    python -m experiments.grid_words --source GRID --out grid_words
    python -m experiments.grid_words --source GRID --out grid_moved --timing=moved
    python -m dnr_jax.data.prepare videos --variant grid_words --source grid_words --form jpeg --short_side 54

GRID is a folder with SENTENCE.mpg and SENTENCE.align of one speaker or of several. Where several say a sentence, they
are told apart by folders whose names both their videos and their alignments have on their paths: s1/video, s1/align.

Each of the six words of a sentence becomes a clip of 16 frames at 25 a second, 80 x 80 pixels: a square of 84 around
the mouth, which is what moves most in the lower half of a picture of 360 x 288; of one of 720 x 576, twice that. Where
the word lies in its clip is said by --timing:

    cut     the middle of the word lies up to 4 frames beside that of the clip
    moved   the word lies anywhere in the clip, as a whole where it is short enough
    paced   as `cut`, played at 0.7 to 1.4 times its speed

Started again, it goes on with sentences that have not all of their clips. What is wrong with a video is told at the
end, with status 1; the others have theirs.

Draws depend on sentence, word and timing alone. Of every 20 sentences 14 are for training, 2 for validation and 4 for
the test, whoever says them: no sentence is on two sides.

Source: Cooke, Barker, Cunningham, Shao, JASA 2006; corpus: DOI 10.5281/zenodo.3625687. An alignment has lines of start,
end and word, 1,000 units to a frame.
"""

import argparse
import json
import os
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from dnr_jax.command.bars import bar
from dnr_jax.data.video.decoding import every_frame
from dnr_jax.data.video.encoding import encode
from dnr_jax.data.video.errors import FILMED
from dnr_jax.files import written_whole
from experiments import commands

UNITS, FPS = 1000, 25  # of an alignment to a frame; frames a second
FRAMES, SIDE = 16, 80  # of a clip
PICTURE = 360, 288  # pixels, width and height of a video, or of larger ones a whole number of times as much
CROP, LIPS = 84, (48, 32)  # pixels of it: the square around the mouth; width and height of what moves in it
NEAR = 4  # frames that the middle of a word may lie beside that of its clip
PACES = 0.7, 1.4
TIMINGS = 'cut', 'moved', 'paced'
SILENCE = 'sil', 'sp'
SPLITS = ('train',) * 14 + ('validation',) * 2 + ('test',) * 4
NOTE = '.grid_words.json'  # of a folder of clips: what they are made of


class Sentence(NamedTuple):
    """What is seen, what is said, and what its clips are called."""

    video: Path
    alignment: Path
    name: str  # 's1-bbaf2n': the folders of the video, and its own name


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
            raise ValueError(f'line {number}: expected start, end and word, got {line!r}.')
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
    """The square around the mouth, [T SIDE SIDE 3], of uint8 [T H W 3]: it is what moves most in the lower half.

    ValueError unless frames have the size of PICTURE or a multiple of it.
    """
    _, H, W, _ = frames.shape
    scale = H // PICTURE[1]
    if not scale or (W, H) != (scale * PICTURE[0], scale * PICTURE[1]):
        raise ValueError(f'expected frames of 360 x 288 or 720 x 576 pixels, for the size of faces, got {W} x {H}.')
    crop, lips = scale * CROP, (scale * LIPS[0], scale * LIPS[1])
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]).astype(np.float32)
    motion = np.abs(np.diff(grey, axis=0)).mean(axis=0)
    motion[: H // 2] = 0
    of_lips = cv2.boxFilter(motion, -1, lips, borderType=cv2.BORDER_CONSTANT)
    y, x = np.unravel_index(of_lips.argmax(), of_lips.shape)
    top, left = np.clip((y - crop // 2, x - crop // 2), 0, (H - crop, W - crop))
    square = frames[:, top : top + crop, left : left + crop]
    return np.stack([cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in square])


def clips_of(frames: np.ndarray, words: list[Word], sentence: str, timing: str) -> Iterator[np.ndarray]:
    """Frames [FRAMES H W 3] of the clip of every word, from those of the sentence."""
    for number, word in enumerate(words, start=1):
        rng = np.random.default_rng(zlib.crc32(f'{sentence} {number} {timing}'.encode()))
        yield frames[frames_of(word, timing, rng, len(frames))]


def paths_of(sentence: Sentence, words: list[Word], out: Path) -> list[Path]:
    """Where the clips of all words are to lie."""
    folder = out / split_of(sentence.video.stem)
    return [folder / word.name / f'{sentence.name}-{number}.mp4' for number, word in enumerate(words, start=1)]


def split_of(sentence: str) -> str:
    """The split of a sentence, whoever says it."""
    return SPLITS[zlib.crc32(sentence.encode()) % len(SPLITS)]


def find(source: Path) -> tuple[list[Sentence], list[Path]]:
    """All sentences, and the videos that have no alignment.

    ValueError if there is no sentence, if several alignments fit a video, or if two would give clips the same name.
    """
    videos, alignments = (sorted(source.rglob(f'*.{ending}')) for ending in ('mpg', 'align'))
    of_speakers = by_speaker(videos, alignments)
    fitting = defaultdict(list)
    for path in alignments:
        fitting[of_speakers[path], path.stem].append(path)
    named, lacking = {}, []
    for video in videos:
        alignment, *others = fitting.get((of_speakers[video], video.stem), [None])
        if others:
            raise ValueError(
                f'Expected one alignment for {video}, got {alignment} and {others[0]}. Give each speaker a folder of '
                'the same name for videos and for alignments, and keep one of these.'
            )
        if alignment is None:
            lacking.append(video)
            continue
        sentence = Sentence(video, alignment, '-'.join([*video.relative_to(source).parent.parts, video.stem]))
        if sentence.name in named:
            raise ValueError(
                f'Clips of {video} would have the names of those of {named[sentence.name].video}. Rename a folder.'
            )
        named[sentence.name] = sentence
    if not named:
        raise ValueError(
            f'Expected SENTENCE.mpg and SENTENCE.align in {source}, got {len(videos)} videos and {len(alignments)} '
            'alignments, none of the same sentence.'
        )
    return list(named.values()), lacking


def by_speaker(videos: list[Path], alignments: list[Path]) -> dict[Path, frozenset[str]]:
    """Those folders on the way to each file that say who speaks: they are on the way to videos and to alignments.

    Where there are such folders, a file outside of them belongs to its own folder alone.
    """
    paths = [*videos, *alignments]
    top = os.path.commonpath([path.parent for path in paths]) if paths else ''
    folders = {path: frozenset(path.relative_to(top).parent.parts) for path in paths}

    def on_the_way(to: Iterable[Path]) -> frozenset[str]:
        return frozenset().union(*(folders[path] for path in to))

    speakers = on_the_way(videos) & on_the_way(alignments)
    return {path: (of & speakers or of) if speakers else speakers for path, of in folders.items()}


def claim(out: Path, source: Path, timing: str) -> None:
    """Notes in the folder of clips what they are made of; ValueError if there are clips of something else."""
    note, wanted = out / NOTE, {'source': str(source.resolve()), 'timing': timing}
    made_of = json.loads(note.read_text()) if note.exists() else None
    if made_of not in (wanted, None) or (made_of is None and any(out.rglob('*.mp4'))):
        raise ValueError(
            f'{out} has clips of {made_of or "other programs"}, expected those of {wanted} or none. Give another --out.'
        )
    out.mkdir(parents=True, exist_ok=True)
    with written_whole(note) as unfinished:
        unfinished.write_text(json.dumps(wanted))


def make(source: Path, out: Path, timing: str) -> dict[Path, str]:
    """Writes the clips that are not there, by split and word, as whole files; what is wrong with files, by name."""
    sentences, lacking = find(source)
    claim(out, source, timing)
    wrong, missing = {}, []
    for sentence in sentences:
        try:
            words = read_alignment(sentence.alignment)
        except (OSError, ValueError) as error:
            wrong[sentence.alignment] = str(error)
            continue
        if not all(path.exists() for path in paths_of(sentence, words, out)):
            missing.append((sentence, words))
    there = len(sentences) - len(missing) - len(wrong)
    with bar(len(sentences) - len(wrong), 'sentences', ' sentences', leave=True, done=there) as shown:
        for sentence, words in missing:
            try:
                frames = mouth(np.stack(list(every_frame(sentence.video.read_bytes(), step=1, limits=FILMED))))
            except (OSError, ValueError) as error:
                wrong[sentence.video] = str(error)
            else:
                clips = clips_of(frames, words, sentence.video.stem, timing)
                write(clips, paths_of(sentence, words, out))
            shown.update()
    whole = len(sentences) - len(wrong)
    print(
        f'{out}: all clips of {whole:,} sentences, {there:,} of them were there; {len(lacking)} videos without an '
        f'alignment {[*map(str, lacking[:3])]}'
    )
    return wrong


def write(clips: Iterable[np.ndarray], paths: list[Path]) -> None:
    """Writes each clip as a whole file."""
    for clip, path in zip(clips, paths, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as unfinished:
            unfinished.write_bytes(encode(clip, FPS, quantizer=18, keyframe_interval=8))


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m experiments.grid_words', description=__doc__.split('\n')[0])
    parser.add_argument('--source', type=Path, required=True, help='folder of SENTENCE.mpg and SENTENCE.align')
    parser.add_argument('--out', type=Path, required=True, help='folder of the clips, by split and word')
    parser.add_argument('--timing', choices=TIMINGS, default='cut')
    options = parser.parse_args()
    with commands.refusing():
        wrong = make(options.source, options.out, options.timing)
    for path, reason in wrong.items():
        print(f'{path}: {" ".join(reason.split())}', file=sys.stderr)
    if wrong:
        sys.exit(f'{len(wrong)} files gave no clips, see above; all others did.')


if __name__ == '__main__':
    main()
