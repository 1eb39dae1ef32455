"""What TensorBoard shows: an event file, written by the thread that adds to it, which hears of a disk that is full.

The writer of tensorboardX has a thread of its own: a full disk ends that one, and what adds to it waits for ever.
"""

import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import RecordWriter, summary
from tensorboardX.proto.event_pb2 import Event, SessionLog


class EventFile:
    """A new event file in `folder`, which is made; adding to it raises OSError where the disk does not take it.

    TensorBoard drops what older files of the folder have from step `first_step` on.
    """

    def __init__(self, folder: Path, first_step: int):
        folder.mkdir(parents=True, exist_ok=True)
        self._file = RecordWriter(str(folder / f'events.out.tfevents.{time.time():.0f}.{socket.gethostname()}'))
        self._add(file_version='brain.Event:2')
        self._add(step=first_step, file_version='brain.Event:2')
        self._add(step=first_step, session_log=SessionLog(status=SessionLog.START))

    def scalar(self, tag: str, value: float | int, step: int) -> None:
        """A point of a curve."""
        self._add(summary=summary.scalar(tag, value), step=step)

    def picture(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """An image, [H W C]."""
        self._add(summary=summary.image(tag, pixels, dataformats='HWC'), step=step)

    def text(self, tag: str, text: str, step: int) -> None:
        """Text, as Markdown."""
        self._add(summary=summary.text(tag, text), step=step)

    def row(self, values: Mapping[str, Any], scalars: Sequence[str]) -> None:
        """A row of the table of runs: its values, and the names of scalars beside them."""
        for part in summary.hparams(values, dict.fromkeys(scalars)):
            self._add(summary=part)

    def flush(self) -> None:
        """Sees to the disk what was added."""
        self._file.flush()

    def close(self) -> None:
        """Sees the rest to the disk, and ends."""
        self._file.close()

    def _add(self, **what: Any) -> None:
        self._file.write(Event(wall_time=time.time(), **what).SerializeToString())
