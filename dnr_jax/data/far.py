"""Videos in a bucket, looked at as if they lay on this disk: their names at once, their bytes when they are read.

Readers of annotations look at many folders and files. So a tree of stand-ins is made for a folder of the bucket, by one
listing: files of the sizes of those there, which take no room. Only what may be annotations, by its name, is copied.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dnr_jax.data.annotations.clips import IMAGE_SUFFIXES
from dnr_jax.data.annotations.reading import SUFFIXES
from dnr_jax.data.ranges import AT_ONCE
from dnr_jax.files import AnyPath, buckets, is_remote, listed, local_copy, scratch_folder


class Near:
    """Paths on this disk for those of a bucket, and back; local ones are as they are."""

    def __init__(self):
        self._stack, self._trees = ExitStack(), {}

    def __enter__(self) -> 'Near':
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def of(self, path: AnyPath) -> Path:
        """The file, or a tree of stand-ins for the folder."""
        if not is_remote(path):
            return path
        if path not in self._trees:
            if path.is_file():
                self._trees[path] = self._stack.enter_context(local_copy(path))
            else:
                self._trees[path] = self._stack.enter_context(scratch_folder())
                stand_in(path, self._trees[path])
        return self._trees[path]

    def far(self, path: Path) -> AnyPath:
        """Where a path of a tree lies in truth."""
        for url, tree in self._trees.items():
            if path == tree or tree in path.parents:
                return url / path.relative_to(tree).as_posix() if path != tree else url
        return path

    def told(self, text: str) -> str:
        """A text with URLs in the place of trees."""
        for url, tree in self._trees.items():
            text = text.replace(str(tree), str(url))
        return text


def stand_in(folder: AnyPath, tree: Path) -> None:
    """Makes the tree for a folder of a bucket."""
    copied = []
    for name, size in listed(folder).items():
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix in SUFFIXES:
            copied.append(name)
        else:
            file.touch()
            os.truncate(file, size)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda name: buckets.download(folder / name, tree / name), copied))


def found_in(folder: AnyPath, find: Callable[[Path], list[Path]]) -> list[AnyPath]:
    """What `find` finds in a folder, local or not."""
    with Near() as near:
        return [near.far(path) for path in find(near.of(folder))]


@contextmanager
def fetched(path: AnyPath) -> Iterator[Path]:
    """A video, on this disk for the block: a file, or the images of a folder. FileNotFoundError if there is none."""
    if not is_remote(path):
        yield path
        return
    names = listed(path)
    if not names:
        with local_copy(path) as file:
            yield file
        return
    with scratch_folder() as folder, ThreadPoolExecutor(AT_ONCE) as threads:
        place = folder / path.name
        place.mkdir()
        images = [name for name in names if '/' not in name and Path(name).suffix.lower() in IMAGE_SUFFIXES]
        list(threads.map(lambda name: buckets.download(path / name, place / name), images))
        yield place
