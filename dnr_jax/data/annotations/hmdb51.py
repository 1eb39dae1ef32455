"""HMDB51 and J-HMDB: for each class and each of three splits a list of its videos, as training, test or unused."""

from collections.abc import Iterator
from pathlib import Path

from dnr_jax.data.annotations.clips import clip_name, clips
from dnr_jax.data.annotations.reading import lines
from dnr_jax.data.annotations.rows import Annotated, Rejected, Row, check_label_names, collect, located, malformed

FOLDS = (1, 2, 3)
_SUBFOLDERS = ('', 'testTrainMulti_7030_splits', 'test_train_splits', 'splits', 'annotations', 'labels')
_SPLITS = {'1': 'train', '2': 'test'}


def read(source: Path, *, annotations: Path, fold: int, classes: int) -> Annotated:
    """Reads the splits 'train' and 'test' of one of the three official divisions; a video left unused is no row.

    The class names are those of the files, sorted; ids are `<class>/<name>`. A line that cannot be read is rejected
    as one of 'train'.

    Args:
      source: the folder of the videos, in class folders or not.
      annotations: the folder of `<class>_test_split<fold>.txt`, or the folder above its
        `testTrainMulti_7030_splits`.
      fold: 1, 2 or 3.
      classes: how many there must be, 51 of HMDB51 and 21 of J-HMDB.

    Raises:
      ValueError: for another fold, if a file is unreadable, or if there are not so many of them.
    """
    if fold not in FOLDS:
        raise ValueError(f'HMDB51 has the splits {FOLDS}, got fold={fold}.')
    ending = f'_test_split{fold}.txt'
    folders = (annotations / subfolder for subfolder in _SUBFOLDERS)
    files = next(filter(None, (list(folder.glob(f'*{ending}')) for folder in folders)), [])
    files = {file.name.removesuffix(ending): file for file in files}
    names = sorted(files)
    origin = f"the files <class>{ending} in '{annotations}' or in its folders {', '.join(_SUBFOLDERS[1:])}"
    check_label_names(names, count=classes, origin=origin)
    return collect(names, _rows({name: files[name] for name in names}, _videos(source, set(names))))


def _videos(source: Path, names: set[str]) -> dict[tuple[str, str], Path]:
    """Videos by class and name; the class is '' where they lie in no class folder."""
    videos = {}
    for path in clips(source):
        label = path.parent.name if path.parent.name in names else ''
        videos.setdefault((label, clip_name(path)), path)
    return videos


def _rows(files: dict[str, Path], videos: dict[tuple[str, str], Path]) -> Iterator[Row | Rejected]:
    for label, file in files.items():
        for line in lines(file):
            match line.rsplit(None, 1):
                case [_, '0']:
                    continue
                case [written, ('1' | '2') as mark]:
                    name = clip_name(Path(written))
                    path = videos.get((label, name), videos.get(('', name)))
                    expected = f'{label}/{written}'
                    yield located(_SPLITS[mark], f'{label}/{name}', path, label, expected=expected)
                case _:
                    yield malformed('train', line, 'expected: file name, then 0, 1 or 2')
