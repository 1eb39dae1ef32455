"""Data sets of recorded videos, made of what the user has on disk: one class for each, all built alike.

    annotations --read--> rows --store--> records

The configuration names what the records are: the split of the annotations, where there are several, and the form in
which videos are stored: 'original', 'split1-jpeg256'.
"""

import errno
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import tensorflow_datasets as tfds

from dnr_jax.data import storage
from dnr_jax.data.annotations import diving48, folders, hmdb51, jester, kinetics, listing, something, ucf101
from dnr_jax.data.annotations.rows import Annotated, Rejected, Row, outside, some
from dnr_jax.data.builders.video import VideoBuilder
from dnr_jax.data.far import Near, fetched
from dnr_jax.data.storage import Storage, store
from dnr_jax.data.video.errors import Limits, Reason, VideoError
from dnr_jax.files import AnyPath, MachineError
from dnr_jax.registry import choose

FEWEST_FRAMES = 2


class Origin(NamedTuple):
    """Where a data set comes from and how its videos are stored."""

    source: AnyPath  # folder of the videos
    annotations: AnyPath  # folder of the official files
    storage: Storage
    limits: Limits
    lists: Mapping[str, AnyPath]  # of Videos: split to list file; empty reads class folders
    labels: AnyPath | None  # of Videos: class names, one a line

    def near(self, near: Near) -> 'Origin':
        """The same on this disk."""
        return self._replace(
            source=near.of(self.source),
            annotations=near.of(self.annotations),
            lists={split: near.of(path) for split, path in self.lists.items()},
            labels=self.labels and near.of(self.labels),
        )


class RecordedBuilder(VideoBuilder):
    """A data set of recorded videos.

    Attributes:
      reader: of its annotations: (source, annotations=...) -> Annotated.
      variants: what the annotations leave open, by name, as keyword arguments of the reader; the first is usual.
    """

    reader: Callable[..., Annotated]
    variants: Mapping[str, Mapping[str, Any]] = {'': {}}

    def __init__(self, *, origin: Origin, variant: str | None, **kwargs: Any):
        """Takes a key of `variants`, None for the first. Raises ValueError for an unknown one."""
        storage.check(origin.storage)
        variant = variant or next(iter(self.variants))
        self._origin, self._reading = origin, choose(self.variants, variant, f'variant of {self.name}')
        name = '-'.join(filter(None, (variant, storage.name(origin.storage))))
        super().__init__(config=tfds.core.BuilderConfig(name=name), file_format='array_record', **kwargs)

    def list_rows(self) -> Annotated:
        """Rows of the annotations, with a note of videos that lie elsewhere."""
        with Near() as near:
            origin = self._origin.near(near)
            annotated = self.read_annotations(origin)
            if found := outside(annotated.rows, origin.source):
                note = f'{len(found):,} videos lie outside the source folder, where links lead: {some(found)}'
                annotated = annotated._replace(notes=(*annotated.notes, note))
            return as_they_lie(annotated, near)

    def read_annotations(self, origin: Origin) -> Annotated:
        """Rows of the official files."""
        return self.reader(origin.source, annotations=origin.annotations, **self._reading)

    def maker(self, *, thorough: bool = False) -> Callable[[Row], dict]:
        """Stores the video of a row."""
        groups = storage.ALL_GROUPS if thorough else storage.FEW_GROUPS
        return partial(store_row, storage=self._origin.storage, limits=self._origin.limits, groups=groups)

    def about(self) -> dict[str, Any]:
        """How the videos are stored."""
        storage, limits = self._origin.storage, self._origin.limits
        return {'storage': storage._asdict(), 'limits': limits._asdict(), 'frame_step': storage.frame_step}


def as_they_lie(annotated: Annotated, near: Near) -> Annotated:
    """With the paths of a bucket in the place of those on this disk."""
    rows = tuple(row._replace(path=near.far(row.path)) for row in annotated.rows)
    rejected = tuple(Rejected(*map(near.told, row)) for row in annotated.rejected)
    return annotated._replace(rows=rows, rejected=rejected, notes=tuple(map(near.told, annotated.notes)))


def store_row(row: Row, *, storage: Storage, limits: Limits, groups: int) -> dict:
    """The features of a row's video; MachineError where its folder, which was there, is gone."""
    try:
        with fetched(row.path) as path:
            record = store(path, storage, limits, groups=groups)
    except FileNotFoundError as error:  # of a bucket
        raise VideoError(f"there is no '{row.path}'.", Reason.MISSING) from error
    except VideoError as error:
        if error.reason == Reason.MISSING and not row.path.parent.exists():
            raise MachineError(errno.ENOENT, 'its folder is gone', str(row.path)) from error
        raise
    if record['num_frames'] < FEWEST_FRAMES:
        raise VideoError(f'{record["num_frames"]} frame is no video.', Reason.TOO_SHORT)
    return record


class Kinetics200(RecordedBuilder):
    """Mini-Kinetics: 200 classes of Kinetics-400 (Xie et al., ECCV 2018)."""

    trained_by = 'kinetics400'
    reader = staticmethod(partial(kinetics.read, classes=200))


class Kinetics400(RecordedBuilder):
    """Kinetics-400 (Kay et al., 2017)."""

    trained_by = 'kinetics400'
    reader = staticmethod(partial(kinetics.read, classes=400))


class Kinetics600(RecordedBuilder):
    """Kinetics-600 (Carreira et al., 2018)."""

    trained_by = 'kinetics400'
    reader = staticmethod(partial(kinetics.read, classes=600))


class Kinetics700(RecordedBuilder):
    """Kinetics-700 (Carreira et al., 2019)."""

    trained_by = 'kinetics400'
    reader = staticmethod(partial(kinetics.read, classes=700))


class SomethingV1(RecordedBuilder):
    """Something-Something V1 (Goyal et al., ICCV 2017): folders of JPEG frames.

    Two orders of its classes are in use: `sorted`, of TSM, TEA, TAM and TDN, and `file`, of MMAction2.
    """

    trained_by = 'something_v1'
    reader = staticmethod(partial(something.read, version='v1'))
    variants = {'sorted': {'order': 'sorted'}, 'file': {'order': 'file'}}


class SomethingV2(RecordedBuilder):
    """Something-Something V2 (Mahdisoltani et al., 2018)."""

    trained_by = 'something_v2'
    reader = staticmethod(partial(something.read, version='v2', order='file'))


class Diving48(RecordedBuilder):
    """Diving48 (Li et al., ECCV 2018), by its corrected labels, V2."""

    trained_by = 'diving48'
    reader = staticmethod(diving48.read)


class Jester(RecordedBuilder):
    """20BN-Jester (Materzynska et al., 2019): folders of JPEG frames."""

    trained_by = 'jester'
    reader = staticmethod(jester.read)


class Ucf101(RecordedBuilder):
    """UCF101 (Soomro et al., 2012), one of its three divisions."""

    trained_by = 'ucf101'
    reader = staticmethod(ucf101.read)
    variants = {f'split{number}': {'fold': number} for number in (1, 2, 3)}


class Hmdb51(RecordedBuilder):
    """HMDB51 (Kuehne et al., ICCV 2011), one of its three divisions."""

    trained_by = 'hmdb51'
    reader = staticmethod(partial(hmdb51.read, classes=51))
    variants = {f'split{number}': {'fold': number} for number in (1, 2, 3)}


class Jhmdb21(RecordedBuilder):
    """J-HMDB (Jhuang et al., ICCV 2013), short clips of 21 classes of HMDB51, one of its three divisions."""

    trained_by = 'jhmdb21'
    reader = staticmethod(partial(hmdb51.read, classes=21))
    variants = Hmdb51.variants


class Videos(RecordedBuilder):
    """Any videos: folders of classes, or list files."""

    def __init__(self, *, origin: Origin, variant: str | None, **kwargs: Any):
        """The variant is a name of the user's choice, under which this data set is kept."""
        if not variant:
            raise ValueError("A data set of one's own needs a name: --variant=NAME.")
        self.variants = {variant: {}}
        super().__init__(origin=origin, variant=variant, **kwargs)

    def read_annotations(self, origin: Origin) -> Annotated:
        """Rows of the list files, or of the folders where there are none."""
        source, lists, labels = origin.source, origin.lists, origin.labels
        return listing.read(source, lists=lists, label_names=labels) if lists else folders.read(source)
