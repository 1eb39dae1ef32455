"""Files and folders, on a disk or in a bucket: how they are named, written whole, and kept from being lost.

    path = as_path('gs://bucket/runs/dnr')     a local path is a `pathlib.Path`, a URL an `epath.Path`
    with written_whole(path / 'a.json') as file:
        file.write_text(...)                   on this disk in any case; in the bucket once all of it is there

Only what stands here knows of buckets; everything else takes what `as_path` gives.
"""

from dnr_jax.files.background import repeated
from dnr_jax.files.lock import held
from dnr_jax.files.machine import MachineError
from dnr_jax.files.marks import Busy
from dnr_jax.files.mirror import Mirror
from dnr_jax.files.paths import (
    PACKAGES,
    AnyPath,
    absolute,
    as_path,
    expect_local,
    is_remote,
    listed,
    make_folder,
    removed,
    scheme_of,
    signature,
)
from dnr_jax.files.rows import write_rows
from dnr_jax.files.scratch import local_copy, scratch_folder
from dnr_jax.files.whole import expect_writable, folder_written_whole, written_together, written_whole

__all__ = [
    'PACKAGES',
    'AnyPath',
    'Busy',
    'MachineError',
    'Mirror',
    'absolute',
    'as_path',
    'buckets',
    'expect_local',
    'expect_writable',
    'folder_written_whole',
    'held',
    'is_remote',
    'listed',
    'local_copy',
    'machine',
    'make_folder',
    'removed',
    'repeated',
    'scheme_of',
    'scratch_folder',
    'signature',
    'write_rows',
    'written_together',
    'written_whole',
]
