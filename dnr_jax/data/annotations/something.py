"""Something-Something V1 (frame images) and V2 (videos), in the packages of 20BN and of Qualcomm.

Both versions have the same 174 class names. The official file of V1 lists them in an order of its own, while the
authors of many released V1 models sort them, which is also the order of V2: so the order is chosen by name.
"""

from collections.abc import Iterator
from pathlib import Path

from dnr_jax.data.annotations.clips import clips_by_name
from dnr_jax.data.annotations.reading import fields, find, lines, load, require
from dnr_jax.data.annotations.rows import Annotated, Rejected, Row, check_label_names, collect, located, malformed
from dnr_jax.registry import choose

CLASSES = 174
ORDERS = {'file': tuple, 'sorted': sorted}

# What is annotated: split, id and label of a video.
Entry = tuple[str, str, str | None]


def read(source: Path, *, annotations: Path, version: str, order: str) -> Annotated:
    """Reads training, validation and, where its file is there, test.

    Args:
      source: the folder of the videos `<id>.webm`, or of the folders `<id>` of frame images, at any depth.
      annotations: the folder of the annotation files, or the folder above its `labels` or `annotations`.
      version: 'v1' or 'v2'.
      order: of the class names: 'file' as in the official list of labels, or 'sorted'.

    Raises:
      ValueError: for an unknown version or order, if a file is missing or unreadable, or if it does not list 174
        classes.
    """
    read_names, read_entries = choose(VERSIONS, version, 'version of Something-Something')
    names = choose(ORDERS, order, 'order of class names')(read_names(annotations))
    check_label_names(names, count=CLASSES, origin=f"the list of labels in '{annotations}'")
    entries = [entry for split in ('train', 'validation', 'test') for entry in read_entries(annotations, split)]
    found = clips_by_name(source)
    return collect(names, (_row(entry, found, version) for entry in entries))


def _row(entry: Entry | Rejected, found: dict[str, Path], version: str) -> Row | Rejected:
    if isinstance(entry, Rejected):
        return entry
    split, id, label = entry
    return located(split, id, found.get(id), label, expected=f'{id}.webm' if version == 'v2' else f'{id}/')


def _file(folder: Path, part: str, version: str, suffix: str) -> Path | None:
    """The file of a part of the annotations; only that of the test split may be missing."""
    names = [f'something-something-{version}-{part}{suffix}', f'{part}{suffix}']
    return (find if part.startswith('test') else require)(folder, names, ('labels', 'annotations'))


def _v1_names(folder: Path) -> list[str]:
    return lines(_file(folder, 'labels', 'v1', '.csv'))


def _v1_entries(folder: Path, split: str) -> Iterator[Entry | Rejected]:
    file = _file(folder, split, 'v1', '.csv')
    return csv_entries(split, file) if file else iter(())


def csv_entries(split: str, file: Path) -> Iterator[Entry | Rejected]:
    """Entries of a file of lines `id;class name`, those of a test maybe without a class."""
    for line in lines(file):
        match fields(line, ';'):
            case [id] if split == 'test':
                yield split, id, None
            case [id, label] if id and label:
                yield split, id, label
            case _:
                yield malformed(split, line, 'expected: id;class name')


def _v2_names(folder: Path) -> list[str]:
    file = _file(folder, 'labels', 'v2', '.json')
    labels = load(file, dict)
    try:
        index = {int(number): _without_brackets(template) for template, number in labels.items()}
    except (TypeError, ValueError) as error:
        raise ValueError(f"'{file}' must give every template its number: {error}.") from error
    return [index[number] for number in sorted(index)]


def _v2_entries(folder: Path, split: str) -> Iterator[Entry | Rejected]:
    file = _file(folder, split, 'v2', '.json')
    answers = _v2_answers(folder)
    for item in load(file, list) if file else ():
        match item:
            case {'id': id} if split == 'test' and (not answers or str(id) in answers):
                yield split, str(id), answers.get(str(id))
            case {'id': id, 'template': str(template)} if split != 'test':
                yield split, str(id), _without_brackets(template)
            case _:
                wanted = 'an id in test-answers.csv' if split == 'test' else 'id and template'
                yield malformed(split, str(item), f'expected: {wanted}')


def _v2_answers(folder: Path) -> dict[str, str]:
    """Class names of the test videos, empty where they are not published."""
    file = _file(folder, 'test-answers', 'v2', '.csv')
    pairs = [fields(line, ';') for line in lines(file)] if file else []
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _without_brackets(template: str) -> str:
    return template.replace('[', '').replace(']', '')


VERSIONS = {'v1': (_v1_names, _v1_entries), 'v2': (_v2_names, _v2_entries)}
