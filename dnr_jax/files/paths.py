"""Paths as users give them: local, or the URL of a bucket, gs://BUCKET/... or s3://BUCKET/...

A local path is a `pathlib.Path` and nothing else happens to it. A URL is an `epath.Path` of etils, which has the same
methods; they go through fsspec by `buckets`. Folders of a bucket are what its objects are named after: none is made.
"""

import os
import re
from importlib.util import find_spec
from pathlib import Path, PurePath

from dnr_jax.files import buckets

AnyPath = PurePath  # a Path, or the epath.Path of a URL

PACKAGES = {'gs': 'gcsfs', 's3': 's3fs'}  # that a scheme takes
_URL = re.compile(r'([A-Za-z][\w+.-]*):/(/?)')  # and what pathlib makes of one, gs:/bucket


def as_path(given: str | os.PathLike) -> AnyPath:
    """The path that a text names.

    ValueError, in one line, for a scheme that is not supported or whose package is not installed: of no URL is a local
    folder ever made.
    """
    if isinstance(given, PurePath) and is_remote(given):
        return given
    text = os.fspath(given)
    scheme = scheme_of(text)
    if not scheme:
        return Path(given)
    package = PACKAGES[scheme]
    if find_spec(package) is None:
        raise ValueError(f"'{text}' takes {package}, which is not installed: pip install {package}")
    from etils import epath

    buckets.register(scheme)
    return epath.Path(text)


def scheme_of(text: str) -> str:
    """That of a URL, '' of a local path; ValueError for a URL that is not supported."""
    found = _URL.match(text)
    if not found:
        return ''
    scheme, slashes = found.groups()
    if scheme not in PACKAGES or not slashes or not text[found.end() :].strip('/'):
        raise ValueError(
            f"Expected a local path, or gs://BUCKET/FOLDER or s3://BUCKET/FOLDER, got '{text}'. A local folder of "
            f'that name is ./{text}'
        )
    return scheme


def is_remote(path: AnyPath) -> bool:
    """Whether it lies in a bucket."""
    return not isinstance(path, Path)


def expect_local(given: str | os.PathLike, what: str) -> Path:
    """The path, of what can lie on a local disk alone; ValueError for a URL."""
    if scheme_of(os.fspath(given)):
        raise ValueError(f"{what} is on a disk of this machine: expected a local path, got '{given}'.")
    return Path(given)


def absolute(path: AnyPath) -> AnyPath:
    """The whole path; that of a URL is whole."""
    return path if is_remote(path) else path.absolute()


def make_folder(path: AnyPath) -> None:
    """Makes a folder and all above it, unless they are there."""
    if not is_remote(path):
        path.mkdir(parents=True, exist_ok=True)


def listed(folder: AnyPath) -> dict[str, int]:
    """Bytes of all files in a folder and below it, by their paths within it; empty where there is no such folder."""
    if is_remote(folder):
        return buckets.listed(folder)
    found = (path for path in folder.rglob('*') if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in found}


def signature(path: str | os.PathLike) -> tuple[int, int]:
    """Bytes of a file, and when it was written: those of another one at that place differ. OSError if there is none."""
    if os.fspath(path).partition('://')[0] in PACKAGES:
        about = as_path(path).stat()
        return about.length, int(about.mtime)
    about = os.stat(path)
    return about.st_size, about.st_mtime_ns


def removed(path: AnyPath) -> None:
    """Removes a file, if it is there."""
    if is_remote(path):
        return buckets.remove([path])
    path.unlink(missing_ok=True)
