"""UCF101: `classInd.txt`, and for each of three splits a list of training and one of test videos."""

from pathlib import Path

from dnr_jax.data.annotations.clips import clip_name, clips_by_name
from dnr_jax.data.annotations.reading import lines, require
from dnr_jax.data.annotations.rows import Annotated, Rejected, Row, check_label_names, collect, located, malformed

CLASSES = 101
FOLDS = (1, 2, 3)
_SUBFOLDERS = ('ucfTrainTestlist', 'annotations', 'labels')


def read(source: Path, *, annotations: Path, fold: int) -> Annotated:
    """Reads the splits 'train' and 'test' of one of the three official divisions.

    Args:
      source: the folder of the videos, in class folders or not. Capitals do not matter: released copies differ in
        `HandStandPushups`.
      annotations: the folder of the annotation files, or the folder above its `ucfTrainTestlist`.
      fold: 1, 2 or 3.

    Raises:
      ValueError: for another fold, if a file is missing or unreadable, or if it does not list 101 classes.
    """
    if fold not in FOLDS:
        raise ValueError(f'UCF101 has the splits {FOLDS}, got fold={fold}.')
    names = _label_names(require(annotations, ['classInd.txt'], _SUBFOLDERS))
    found = {name.casefold(): path for name, path in clips_by_name(source).items()}
    files = {split: require(annotations, [f'{split}list{fold:02d}.txt'], _SUBFOLDERS) for split in ('train', 'test')}
    return collect(names, (_row(split, line, names, found) for split, file in files.items() for line in lines(file)))


def _label_names(file: Path) -> list[str]:
    """Names from lines `1 ApplyEyeMakeup`."""
    numbered = [line.split() for line in lines(file)]
    if [pair[0] for pair in numbered] != [str(number + 1) for number in range(len(numbered))]:
        raise ValueError(f"'{file}' must number its lines from 1, as in '1 ApplyEyeMakeup'.")
    names = [' '.join(name) for _, *name in numbered]
    check_label_names(names, count=CLASSES, origin=f"'{file}'")
    return names


def _row(split: str, line: str, names: list[str], found: dict[str, Path]) -> Row | Rejected:
    """A line is the path of a video below its class folder; in training lists the number of the class follows."""
    match line.split():
        case [written]:
            label = Path(written).parent.name
        case [written, number] if number.isdecimal():
            label = names[int(number) - 1] if 0 < int(number) <= len(names) else number
        case _:
            return malformed(split, line, 'expected: path, in training lists followed by the number of its class')
    id = clip_name(Path(written))
    return located(split, id, found.get(id.casefold()), label, expected=written)
