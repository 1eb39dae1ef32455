"""What every benchmark can be told: how often it measures, and where its results go."""

from typing import Any

import jax
from absl import flags

from benchmarks import records

ROUNDS = flags.DEFINE_integer('rounds', 15, 'Rounds in which the variants take turns, after two that are not counted.')
REPEATS = flags.DEFINE_integer('repeats', 1, 'Runs per turn, waited for together; 10 or more on accelerators.')
RECORD = flags.DEFINE_string('record', '', 'Adds the results to benchmarks/records/NAME.jsonl.')
PROGRAMS = flags.DEFINE_string('programs', '', 'New folder, in which programs are kept for a benchmark after this one.')
NOTE = flags.DEFINE_string('note', '', 'Goes into the record: what else the machine was doing, say.')


def expect_to_compile() -> None:
    """From here on every program is compiled, but those of the folder that was asked for."""
    jax.config.update('jax_enable_compilation_cache', bool(PROGRAMS.value))
    jax.config.update('jax_compilation_cache_dir', PROGRAMS.value or None)


def keep(measured: dict[str, Any]) -> None:
    """Adds a result to the record that was asked for, if any."""
    if RECORD.value:
        circumstances = {'rounds': ROUNDS.value, 'repeats': REPEATS.value, 'note': NOTE.value}
        records.add(records.FOLDER / f'{RECORD.value}.jsonl', measured | circumstances)
