"""Clips of words: where they lie in their sentence, what is seen in them, and what a folder of the corpus may lack."""

import numpy as np
import pytest

from dnr_jax.data.video.decoding import FILMED, every_frame
from dnr_jax.data.video.encoding import encode
from experiments import grid_words
from experiments.grid_words import Word, clips_of, find, frames_of, make, mouth, read_alignment, split_of

ALIGNMENT = '0 10000 sil\n10000 16000 bin\n16000 20000 blue\n20000 21000 sp\n21000 30000 now\n30000 75000 sil\n'


def test_an_alignment_in_frames(tmp_path):
    (tmp_path / 'a.align').write_text(ALIGNMENT)
    words = read_alignment(tmp_path / 'a.align')
    assert words == [Word('bin', 10, 16), Word('blue', 16, 20), Word('now', 21, 30)]
    (tmp_path / 'b.align').write_text('0 100 sil\nbin 100 200\n')
    with pytest.raises(ValueError, match="line 2: expected start, end and word, got 'bin 100 200'"):
        read_alignment(tmp_path / 'b.align')


def draws(word, timing, length=75):
    return np.stack([frames_of(word, timing, np.random.default_rng(seed), length) for seed in range(200)])


def test_where_a_word_lies():
    """A word of frames 30 to 36: `cut` moves its middle by 4 frames, `moved` by 5, which leaves it in the clip."""
    word = Word('red', 30, 36)
    cut, moved, paced = (draws(word, timing) for timing in grid_words.TIMINGS)
    for drawn, most in ((cut, 4), (moved, 5)):
        assert np.all(np.diff(drawn) == 1)
        beside = drawn.mean(axis=1) - 33
        assert np.abs(beside).max() <= most + 0.5 and np.ptp(beside) >= 2 * most - 1
        assert np.all((drawn.min(axis=1) <= 31) & (drawn.max(axis=1) >= 35))
    spans = np.ptp(paced, axis=1)
    assert spans.min() in (10, 11) and spans.max() in (20, 21)
    assert np.all(np.diff(paced) >= 0)


def test_a_word_at_the_end_of_a_sentence_repeats_its_last_frame():
    assert draws(Word('now', 70, 74), 'cut').max() == 74 and draws(Word('bin', 0, 2), 'cut').min() == 0


def test_draws_are_those_of_the_word():
    frames = np.arange(75, dtype=np.uint8)[:, None, None, None] + np.zeros((75, 2, 2, 3), np.uint8)
    words = [Word('bin', 10, 16), Word('bin', 30, 36)]
    first, again = (dict(clips_of(frames, words, 'abcdef', 'moved')) for _ in range(2))
    assert list(first) == ['bin/abcdef-1.mp4', 'bin/abcdef-2.mp4']
    assert all(np.array_equal(first[name], again[name]) for name in first)
    other = dict(clips_of(frames, words, 'abcdeg', 'moved'))
    assert not np.array_equal(first['bin/abcdef-1.mp4'], other['bin/abcdeg-1.mp4'])


def sentence(lips=(150, 230), eyes=(150, 100)):
    """A still face of 360 x 288 whose lips flicker, and whose eyes flicker more."""
    rng = np.random.default_rng(0)
    frames = np.full((75, 288, 360, 3), 120, np.uint8)
    for (x, y), strength in ((lips, 60), (eyes, 120)):
        frames[:, y - 12 : y + 12, x - 20 : x + 20] += rng.integers(0, strength, (75, 1, 1, 1), np.uint8)
    return frames


def test_the_mouth_is_in_the_middle_of_the_square():
    square = mouth(sentence())
    assert square.shape == (75, 80, 80, 3)
    moving = np.abs(np.diff(square.astype(int), axis=0)).mean(axis=(0, 3))
    rows, columns = (np.flatnonzero(moving.max(axis=axis) > 5) for axis in (1, 0))
    assert abs(rows.mean() - 39.5) < 6 and abs(columns.mean() - 39.5) < 6 and len(rows) < 30
    with pytest.raises(ValueError, match='too small for a square of 84'):
        mouth(np.zeros((5, 100, 360, 3), np.uint8))


def written(folder, name, video=True, alignment=True):
    folder.mkdir(parents=True, exist_ok=True)
    if video:
        (folder / f'{name}.mpg').write_bytes(encode(sentence(), 25, quantizer=30, keyframe_interval=25))
    if alignment:
        (folder / f'{name}.align').write_text(ALIGNMENT)


def test_clips_are_written_by_split_and_word(tmp_path, capsys):
    written(tmp_path / 's1', 'bbaf2n')
    written(tmp_path / 's1', 'lacking', alignment=False)
    make(tmp_path / 's1', tmp_path / 'out', 'cut')
    clips = sorted(path.relative_to(tmp_path / 'out').as_posix() for path in (tmp_path / 'out').rglob('*.mp4'))
    split = split_of('bbaf2n')
    assert clips == [f'{split}/{word}/s1-bbaf2n-{n}.mp4' for n, word in enumerate(['bin', 'blue', 'now'], start=1)]
    frames = list(every_frame((tmp_path / 'out' / clips[0]).read_bytes(), step=1, limits=FILMED))
    assert len(frames) == 16 and frames[0].shape == (80, 80, 3)
    told = capsys.readouterr().out
    assert '3 clips' in told and '1 videos without an alignment' in told and 'lacking.mpg' in told


def test_videos_and_alignments_in_folders_of_their_own(tmp_path):
    written(tmp_path / 'video', 'a', alignment=False)
    written(tmp_path / 'align', 'a', video=False)
    found, lacking = find(tmp_path)
    assert [(video.name, alignment.name) for video, alignment in found] == [('a.mpg', 'a.align')] and not lacking
    for speaker in ('s1', 's2'):  # who say the same sentence
        written(tmp_path / 'video' / speaker, 'b', alignment=False)
        written(tmp_path / 'align' / speaker, 'b', video=False)
    found, lacking = find(tmp_path)
    assert [alignment.parent.name for _, alignment in found] == ['s1', 's2'] and [path.name for path in lacking] == [
        'a.mpg'
    ]
    with pytest.raises(ValueError, match='none of the same sentence'):
        find(tmp_path / 'video')


def test_splits_are_of_sentences():
    shares = np.array([split_of(f'{n:06}') for n in range(4000)])
    for split, share in (('train', 0.7), ('validation', 0.1), ('test', 0.2)):
        assert abs(np.mean(shares == split) - share) < 0.02
