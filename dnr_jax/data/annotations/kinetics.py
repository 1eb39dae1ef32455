"""Kinetics-400, -600 and -700 (DeepMind), and the 200 classes of Mini-Kinetics within Kinetics-400.

Annotations are csv files, read by the names of their columns, or their JSON twins. Mini-Kinetics
(github.com/s9xie/Mini-Kinetics-200) is two lists of YouTube ids, which lie beside the files of Kinetics-400.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dnr_jax.data.annotations.clips import clip_name, clips
from dnr_jax.data.annotations.reading import fields, find, lines, load, require
from dnr_jax.data.annotations.rows import (
    UNKNOWN_LABEL,
    Annotated,
    Rejected,
    Row,
    check_label_names,
    collect,
    located,
    malformed,
)

# The words for each split, in file names and in the column `split`.
SPLITS = {'train': ('train',), 'validation': ('validate', 'val', 'validation'), 'test': ('test',)}
CLASSES = (200, 400, 600, 700)
RAREST = 5  # labels named where their number is wrong, among which are the misspelt ones

_COLUMNS = {
    'id': 'youtube_id',
    'video_id': 'youtube_id',
    'start': 'time_start',
    'start_time': 'time_start',
    'end': 'time_end',
    'end_time': 'time_end',
    'class': 'label',
    'subset': 'split',
}
_TIMED_NAME = re.compile(r'(.+)_(\d{6,})_(\d{6,})')  # from the right: an id may hold - and _ and digits


class _Clip(NamedTuple):
    youtube_id: str
    start: int  # seconds
    end: int
    label: str | None

    @property
    def id(self) -> str:
        return f'{self.youtube_id}_{self.start:06d}_{self.end:06d}'


def read(source: Path, *, annotations: Path, classes: int) -> Annotated:
    """Reads the splits whose files are there.

    The class names are the sorted labels of training or, where its file is not there, of validation.

    A video is found anywhere under `source` by its name, `<youtube_id>_<start>_<end>` or, if the annotations
    name only one clip of it, `<youtube_id>`. Of several with one name, one in a folder `replacement*` (repaired
    clips) is taken, else the first.

    Args:
      source: the folder of the videos.
      annotations: the folder of the annotation files, or the folder above it.
      classes: 200, 400, 600 or 700: which Kinetics it is. 200 has no test split.

    Raises:
      ValueError: if a file is missing or unreadable, or if it has not that number of classes.
    """
    if classes not in CLASSES:
        raise ValueError(f'Kinetics has {CLASSES} classes, got classes={classes}.')
    splits = _read_splits(annotations, 400 if classes == 200 else classes)
    if classes == 200:
        splits = {split: _listed(annotations, split, splits.get(split, [])) for split in ('train', 'validation')}
    naming = 'train' if 'train' in splits else 'validation'
    counts = Counter(clip.label for clip in splits[naming] if isinstance(clip, _Clip) and clip.label)
    rarest = ', '.join(f"'{label}' {count}" for label, count in counts.most_common()[: -RAREST - 1 : -1])
    origin = f"the labels of {naming} in '{annotations}' (the rarest, with the number of their rows: {rarest})"
    check_label_names(sorted(counts), count=classes, origin=origin)
    return collect(sorted(counts), _rows(splits, _videos(source)))


def _read_splits(folder: Path, classes: int) -> dict[str, list[_Clip | Rejected]]:
    prefixes = (f'kinetics-{classes}_', f'kinetics_{classes}_', f'kinetics{classes}_', f'k{classes}_', '', 'kinetics_')
    subfolders = ('annotations', 'labels', f'kinetics{classes}', f'kinetics-{classes}', f'kinetics{classes}_2020')
    splits = {}
    for split, words in SPLITS.items():
        names = [f'{prefix}{word}{suffix}' for suffix in ('.csv', '.json') for prefix in prefixes for word in words]
        file = find(folder, names, subfolders)
        if file is not None:
            splits[split] = _read_split(file, split)
    if not splits.keys() & {'train', 'validation'}:
        require(folder, ['train.csv', 'val.csv', f'kinetics-{classes}_train.csv', 'train.json'], subfolders)
    return splits


def _read_split(file: Path, split: str) -> list[_Clip | Rejected]:
    records = list(_json_records(file) if file.suffix == '.json' else _csv_records(file))
    labelled = any(record.get('label') for _, record in records)
    return [_clip(split, line, record, labelled) for line, record in records]


def _csv_records(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Pairs of a line and its values by name; without values if it has not as many as the header."""
    header, *rest = lines(file) or ['']
    columns = [_COLUMNS.get(name.lower(), name.lower()) for name in fields(header, ',')]
    if not {'youtube_id', 'time_start', 'time_end'} <= set(columns):
        raise ValueError(
            f"'{file}' must have the columns youtube_id, time_start and time_end, its header is '{header}'."
        )
    for line in rest:
        values = fields(line, ',')
        yield line, dict(zip(columns, values, strict=True)) if len(values) == len(columns) else {}


def _json_records(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for youtube_id, entry in load(file, dict).items():
        try:
            start, end = entry['annotations']['segment']
            yield (
                youtube_id,
                {
                    'youtube_id': youtube_id,
                    'time_start': start,
                    'time_end': end,
                    'label': entry['annotations'].get('label'),
                    'split': entry.get('subset'),
                },
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            yield youtube_id, {}


def _clip(split: str, line: str, record: dict[str, Any], labelled: bool) -> _Clip | Rejected:
    try:
        start, end = (int(float(record[name])) for name in ('time_start', 'time_end'))
    except (KeyError, TypeError, ValueError, OverflowError):
        return malformed(split, line, 'expected: a YouTube id, two times in seconds, as many fields as in the header')
    if not record['youtube_id']:
        return malformed(split, line, 'no YouTube id')
    if labelled and not record.get('label'):
        return malformed(split, line, 'no label, though other rows of its split have one')
    if any(record.get('split') in words for other, words in SPLITS.items() if other != split):
        return malformed(split, line, f"its split is '{record['split']}', but it stands in the file of '{split}'")
    return _Clip(record['youtube_id'], start, end, record.get('label') or None)


def _listed(folder: Path, split: str, kinetics400: list[_Clip | Rejected]) -> list[_Clip | Rejected]:
    """The clips of Mini-Kinetics: one for each id on its list."""
    subfolders = ('annotations', 'labels', 'kinetics200', 'Mini-Kinetics-200', 'kinetics400')
    file = require(folder, [f'{"train" if split == "train" else "val"}_ytid_list.txt'], subfolders)
    clips = {clip.youtube_id: clip for clip in reversed(kinetics400) if isinstance(clip, _Clip)}
    unknown = f'not in the {split} file of Kinetics-400'
    return [clips.get(id) or Rejected(split, id, '', UNKNOWN_LABEL, unknown) for id in lines(file)]


def _videos(source: Path) -> dict[tuple[str, int | None], Path]:
    """Videos by YouTube id and start in seconds, None where the name says no time."""
    videos, repaired = {}, {}
    for path in clips(source):
        timed = _TIMED_NAME.fullmatch(clip_name(path))
        key = (timed[1], int(timed[2])) if timed else (clip_name(path), None)
        folders = path.relative_to(source).parent.parts
        is_repaired = any(folder.startswith('replacement') for folder in folders)
        (repaired if is_repaired else videos).setdefault(key, path)
    return videos | repaired


def _rows(
    splits: dict[str, list[_Clip | Rejected]], videos: dict[tuple[str, int | None], Path]
) -> Iterator[Row | Rejected]:
    clips = {clip[:2] for entries in splits.values() for clip in entries if isinstance(clip, _Clip)}
    clips_of = Counter(youtube_id for youtube_id, _ in clips)
    for split, entries in splits.items():
        for entry in entries:
            if isinstance(entry, Rejected):
                yield entry
                continue
            path = videos.get((entry.youtube_id, entry.start))
            if path is None and clips_of[entry.youtube_id] == 1:
                path = videos.get((entry.youtube_id, None))
            yield located(split, entry.id, path, entry.label, expected=f'{entry.id}.mp4')
