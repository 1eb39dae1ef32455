"""What a loader reads: videos by their numbers, of a split or from anywhere else, and some of them.

record = videos[0]                    # a dict with its bytes, label and id
few = Part(videos, [3, 1, 4])
"""

import abc
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from dnr_jax.data.video.errors import VideoError


class DamagedRecord(VideoError):
    """A record that cannot be read. `id` is that of its video, where it is known."""

    id: str = ''


class Videos(abc.ABC):
    """`len(videos)`, and `videos[i]` for i from 0.

    A record is a dict: `video` bytes, `frame_ends` int64 [F], `label` int, `id` str, `num_frames` int, `parameters`
    str (JSON or empty); see `builders.video.video_features`. DamagedRecord for one that cannot be read.

    Attributes:
      name: what they are, for messages.
      label_names: names of the classes, in the order of the labels.
      frame_step: frames of the original video from one stored frame to the next.
    """

    name: str
    label_names: tuple[str, ...]
    frame_step: int

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @abc.abstractmethod
    def damaged(self, index: int, what: object, id: str = '') -> DamagedRecord:
        """The error for a record that cannot be decoded, `what` says why."""

    def ahead(self, batch: Hashable, positions: Iterable[int]) -> None:
        """Tells which records are read soon, for a batch, to those that have to be fetched from far."""
        return


class Part(Videos):
    """Some of these videos, by their numbers."""

    def __init__(self, whole: Videos, numbers: Sequence[int]):
        self.name, self.label_names, self.frame_step = whole.name, whole.label_names, whole.frame_step
        self._whole, self._numbers = whole, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._whole[self._numbers[index]]

    def ahead(self, batch: Hashable, positions: Iterable[int]) -> None:
        self._whole.ahead(batch, (self._numbers[position] for position in positions))

    def damaged(self, index: int, what: object, id: str = '') -> DamagedRecord:
        return self._whole.damaged(self._numbers[index], what, id)
