"""Writing shards on a cluster, with Apache Beam: `pip install apache-beam`, and a disk that all workers see.

A shard is the unit of work. It is written by the same function as without Beam, so the bytes are the same, and shards
that are there are not written again.
"""

import shlex
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

try:
    import apache_beam
    from apache_beam.options.pipeline_options import PipelineOptions
except ImportError as error:
    raise ValueError('--beam needs Apache Beam: pip install apache-beam') from error

from dnr_jax.data import shards
from dnr_jax.files import AnyPath


def write(
    planned: Sequence[shards.Shard],
    folder: AnyPath,
    convert: Callable[[Iterable[shards.Row]], Iterator[shards.Record | shards.Rejected]],
    options: str,
) -> None:
    """Writes the shards that are missing; `options` are those of Beam's command line, '--runner=DirectRunner'."""
    missing = [shard for shard in planned if shards.find(shard, folder) is None]
    with apache_beam.Pipeline(options=PipelineOptions(shlex.split(options))) as pipeline:
        spread = pipeline | apache_beam.Create(missing) | apache_beam.Reshuffle()
        spread | apache_beam.Map(_write_one, folder, convert)


def _write_one(shard: shards.Shard, folder: AnyPath, convert: Callable) -> None:
    deque(shards.write_missing([shard], folder, convert), maxlen=0)
