"""Files that grow, of a folder in a bucket: objects cannot be appended to, so they are put again, whole.

They grow in a scratch folder of this disk. In the background those that have changed are put, at a pace that leaves the
network alone for most of the time, and with `flush` all of them at once. A local folder is written to as it is.
"""

import threading
from contextlib import ExitStack
from pathlib import Path

from dnr_jax.files import buckets
from dnr_jax.files.background import repeated
from dnr_jax.files.paths import AnyPath, is_remote
from dnr_jax.files.scratch import scratch_folder

LEAST_PAUSE = 10.0  # seconds from one round to the next
SHARE = 20.0  # a pause is at least so many times as long as its round took


class Mirror:
    """Files of `root` appear in `folder`; close it to see them through.

    Attributes:
      root: where to write, on this disk.
    """

    def __init__(self, folder: AnyPath):
        self._folder, self._stack, self._put, self._lock = folder, ExitStack(), {}, threading.Lock()
        self.root: Path = self._stack.enter_context(scratch_folder()) if is_remote(folder) else folder
        if is_remote(folder):  # what goes wrong meanwhile is told at the next `flush`, if it is not mended by then
            self._stack.enter_context(repeated(self.flush, LEAST_PAUSE, SHARE))

    def flush(self) -> None:
        """Puts what has changed; BucketError if that cannot be."""
        if not is_remote(self._folder):
            return
        with self._lock:
            for file in sorted(path for path in self.root.rglob('*') if path.is_file()):
                about = file.stat()
                if self._put.get(file) != (about.st_size, about.st_mtime_ns):
                    buckets.put(self._folder / file.relative_to(self.root).as_posix(), file.read_bytes())
                    self._put[file] = about.st_size, about.st_mtime_ns

    def close(self) -> None:
        """Puts the last of it, and ends."""
        with self._stack:
            self.flush()
