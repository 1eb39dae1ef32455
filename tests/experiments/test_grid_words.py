"""Clips of words: where they lie in their sentence, what is seen in them, and what a folder of the corpus may lack."""

from pathlib import Path

import numpy as np
import pytest

from dnr_jax.data.annotations import folders
from dnr_jax.data.video.decoding import every_frame
from dnr_jax.data.video.encoding import encode
from dnr_jax.data.video.errors import FILMED
from experiments import grid_words
from experiments.grid_words import (
    Sentence,
    Word,
    clips_of,
    find,
    frames_of,
    make,
    mouth,
    paths_of,
    read_alignment,
    split_of,
)

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
    first, again, other = (list(clips_of(frames, words, of, 'moved')) for of in ('abcdef', 'abcdef', 'abcdeg'))
    assert len(first) == 2 and not np.array_equal(first[0], other[0])
    np.testing.assert_array_equal(first, again)


def test_clips_lie_by_split_and_word():
    """The split is that of the sentence, whoever says it: 's1-bbaf3s' would be on another side."""
    sentence = Sentence(Path('s1/bbaf3s.mpg'), Path('bbaf3s.align'), 's1-bbaf3s')
    words = [Word('bin', 10, 16), Word('at', 30, 36)]
    folder = Path('out') / split_of('bbaf3s')
    assert paths_of(sentence, words, Path('out')) == [folder / 'bin/s1-bbaf3s-1.mp4', folder / 'at/s1-bbaf3s-2.mp4']


def sentence(lips=(150, 230), eyes=(150, 100)):
    """A still face of 360 x 288 whose lips flicker in 40 x 24 pixels, and whose eyes flicker more."""
    rng = np.random.default_rng(0)
    frames = np.full((75, 288, 360, 3), 120, np.uint8)
    for (x, y), strength in ((lips, 60), (eyes, 120)):
        frames[:, y - 12 : y + 12, x - 20 : x + 20] += rng.integers(0, strength, (75, 1, 1, 1), np.uint8)
    return frames


@pytest.mark.parametrize('scale', [1, 2])
@pytest.mark.parametrize('lips', [(150, 230), (60, 200)])
def test_the_mouth_is_in_the_middle_of_the_square(scale, lips):
    """Lips of 40 x 24 pixels become 38 x 23, as 80 x 48 of a picture that is twice as large."""
    square = mouth(sentence(lips).repeat(scale, axis=1).repeat(scale, axis=2))
    assert square.shape == (75, 80, 80, 3)
    moving = np.abs(np.diff(square.astype(int), axis=0)).mean(axis=(0, 3))
    rows, columns = (np.flatnonzero(moving.max(axis=axis) > 5) for axis in (1, 0))
    assert abs(rows.mean() - 39.5) < 6 and abs(columns.mean() - 39.5) < 6
    assert abs(len(rows) - 23) <= 2 and abs(len(columns) - 38) <= 2


@pytest.mark.parametrize('shape', [(100, 360), (288, 352), (576, 1024), (144, 180), (432, 540)])
def test_pictures_of_other_sizes_are_refused(shape):
    with pytest.raises(ValueError, match=f'expected frames of 360 x 288 or 720 x 576 .*got {shape[1]} x {shape[0]}'):
        mouth(np.zeros((5, *shape, 3), np.uint8))


def written(folder, name, video=True, alignment=True):
    folder.mkdir(parents=True, exist_ok=True)
    if video:
        (folder / f'{name}.mpg').write_bytes(encode(sentence(), 25, quantizer=30, keyframe_interval=25))
    if alignment:
        (folder / f'{name}.align').write_text(ALIGNMENT)


def clips_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*.mp4'))


def test_clips_are_written_by_split_and_word(tmp_path, capsys):
    written(tmp_path / 'grid/s1', 'bbaf2n')
    written(tmp_path / 'grid/s1', 'lacking', alignment=False)
    assert make(tmp_path / 'grid', tmp_path / 'out', 'cut') == {}
    clips, split = clips_in(tmp_path / 'out'), split_of('bbaf2n')
    assert clips == [f'{split}/{word}/s1-bbaf2n-{n}.mp4' for n, word in enumerate(['bin', 'blue', 'now'], start=1)]
    frames = list(every_frame((tmp_path / 'out' / clips[0]).read_bytes(), step=1, limits=FILMED))
    assert len(frames) == 16 and frames[0].shape == (80, 80, 3)
    told = capsys.readouterr().out
    assert 'all clips of 1 sentences' in told and '1 videos without an alignment' in told and 'lacking.mpg' in told
    assert set(folders.read(tmp_path / 'out').label_names) <= {'bin', 'blue', 'now'}  # as `prepare` reads them


def test_a_damaged_file_is_told_and_the_others_are_made(tmp_path, monkeypatch, capsys):
    """And told again, with what was made left as it is."""
    source, out = tmp_path / 'grid', tmp_path / 'out'
    written(source, 'a')
    written(source, 'b', video=False)
    written(source, 'c')
    (source / 'b.mpg').write_bytes((source / 'a.mpg').read_bytes()[:1000])
    (source / 'c.align').write_text('sil')
    monkeypatch.setattr('sys.argv', ['grid_words.py', f'--source={source}', f'--out={out}'])
    made = {}
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            grid_words.main()
        assert str(ended.value) == '2 files gave no clips, see above; all others did.'
        align, video = [line for line in capsys.readouterr().err.splitlines() if line.startswith(str(source))]
        assert align == f"{source}/c.align: line 1: expected start, end and word, got 'sil'."
        assert video.startswith(f'{source}/b.mpg: ') and len(video) > len(f'{source}/b.mpg: ')
        times = {path: (out / path).stat().st_mtime_ns for path in clips_in(out)}
        assert [Path(path).name for path in times] == ['a-1.mp4', 'a-2.mp4', 'a-3.mp4'] and made in ({}, times)
        made = times


def test_it_goes_on_with_sentences_that_lack_a_clip(tmp_path, monkeypatch, capsys):
    source, out, decoded = tmp_path / 'grid', tmp_path / 'out', []
    for name in ('a', 'b'):
        written(source, name)
    make(source, out, 'cut')
    before = {path: (out / path).read_bytes() for path in clips_in(out)}
    (out / clips_in(out)[0]).unlink()
    monkeypatch.setattr(grid_words, 'mouth', lambda frames: decoded.append(len(frames)) or mouth(frames))
    make(source, out, 'cut')
    assert decoded == [75] and {path: (out / path).read_bytes() for path in clips_in(out)} == before
    assert '1 of them were there' in capsys.readouterr().out.splitlines()[-1]


def test_clips_of_something_else_are_no_clips_of_this(tmp_path):
    """Of another timing, of another speaker, of who knows what."""
    for speaker in ('s1', 's2'):
        written(tmp_path / speaker, 'a')
    make(tmp_path / 's1', tmp_path / 'out', 'cut')
    for source, timing in (('s1', 'moved'), ('s2', 'cut')):
        with pytest.raises(ValueError, match='Give another --out'):
            make(tmp_path / source, tmp_path / 'out', timing)
    (tmp_path / 'out' / grid_words.NOTE).unlink()
    with pytest.raises(ValueError, match='has clips of other programs'):
        make(tmp_path / 's1', tmp_path / 'out', 'cut')


def laid_out(source, *files):
    """Empty files, of which only the names are looked at."""
    for file in files:
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        (source / file).touch()
    return source


@pytest.mark.parametrize(
    ('files', 'expected'),
    [
        ('a.mpg a.align', {'a': 'a.align'}),
        ('video/a.mpg align/a.align', {'video-a': 'align/a.align'}),
        ('s1/a.mpg s1/a.align s2/a.mpg s2/a.align', {'s1-a': 's1/a.align', 's2-a': 's2/a.align'}),
        ('video/s1/a.mpg align/s1/a.align video/s2/a.mpg align/s2/a.align',
         {'video-s1-a': 'align/s1/a.align', 'video-s2-a': 'align/s2/a.align'}),
        ('s1/video/a.mpg s1/align/a.align s2/video/a.mpg s2/align/a.align',
         {'s1-video-a': 's1/align/a.align', 's2-video-a': 's2/align/a.align'}),
        ('s1/video/mpg_6000/a.mpg align/s1/a.align s2/a.mpg align/s2/a.align',
         {'s1-video-mpg_6000-a': 'align/s1/a.align', 's2-a': 'align/s2/a.align'}),
        ('grid/s1/a.mpg grid/s1/a.align grid/s2/a.mpg grid/s3/a.align', {'grid-s1-a': 'grid/s1/a.align'}),
        ('video/a.mpg align/a.align video/s1/b.mpg align/s1/b.align', {'video-s1-b': 'align/s1/b.align'}),
        ('a.mpg a.align s1/a.mpg s1/a.align', {'a': 'a.align', 's1-a': 's1/a.align'}),
        ('s1/a.mpg s1/hq/a.mpg align/s1/a.align', {'s1-a': 'align/s1/a.align', 's1-hq-a': 'align/s1/a.align'}),
    ],
)  # fmt: skip
def test_a_video_has_the_alignment_of_its_speaker(tmp_path, files, expected):
    names = files.split()
    found, lacking = find(laid_out(tmp_path, *names))
    assert {of.name: of.alignment.relative_to(tmp_path).as_posix() for of in found} == expected
    assert len(found) + len(lacking) == sum(name.endswith('.mpg') for name in names)


@pytest.mark.parametrize(
    ('files', 'words'),
    [
        ('s1/a.mpg s1/a.align s1/old/a.align', 'one alignment for .*a.mpg, got .*s1/a.align and .*old/a.align'),
        ('video/a.mpg s1/a.align s2/a.align', 'Expected one alignment for'),
        ('s1/b/a.mpg s1-b/a.mpg align/s1/a.align align/s1-b/a.align', 'would have the names of those of'),
        ('video/a.mpg align/b.align', 'got 1 videos and 1 alignments, none of the same sentence'),
        ('a.txt', 'got 0 videos and 0 alignments'),
    ],
)  # fmt: skip
def test_what_fits_twice_or_never_is_refused(tmp_path, files, words):
    with pytest.raises(ValueError, match=words):
        find(laid_out(tmp_path, *files.split()))


def test_splits_are_of_sentences():
    shares = np.array([split_of(f'{n:06}') for n in range(4000)])
    for split, share in (('train', 0.7), ('validation', 0.1), ('test', 0.2)):
        assert abs(np.mean(shares == split) - share) < 0.02
