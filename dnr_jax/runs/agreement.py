"""The processes of one run agree: a mistake of one ends all, and so does a difference between them.

Otherwise one would train with another rate or other videos without a word, or wait for a process that has left.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from dnr_jax import parallel
from dnr_jax.runs.identity import differences

# Of a config: what each machine may have by itself.
OF_MACHINE = ('config.data.dir', 'config.data.cache', 'config.run.workers', 'config.run.prefetch')


@contextmanager
def all_or_none() -> Iterator[None]:
    """Where one process raises an error within the block, the others raise ValueError at its end, with the same words.

    All processes must come here.
    """
    mistake = None
    try:
        yield
    except Exception as error:
        mistake = error
    words = parallel.gather(np.array([f'{mistake or ""}']))
    if mistake:
        raise mistake
    for number, of_other in enumerate(words):
        if of_other:
            raise ValueError(f'process {number} of this run: {of_other}')


def expect_alike(of_run: Mapping[str, Any]) -> None:
    """Raises ValueError, on all processes, with the first difference between what they say `of_run`."""
    first, *others = map(json.loads, parallel.gather(np.array([json.dumps(of_run)])))
    for number, other in enumerate(others, 1):
        for difference in differences(first, other, OF_MACHINE):
            raise ValueError(
                f'All processes of a run do the same, but process {number} differs from process 0 in {difference}; '
                'start them with one command, one code and the same data.'
            )
