"""What every benchmark can be told: how often it measures, and where its results go."""

from typing import Any

from absl import flags

from benchmarks import records

ROUNDS = flags.DEFINE_integer('rounds', 15, 'Rounds in which the variants take turns, after two that are not counted.')
REPEATS = flags.DEFINE_integer('repeats', 1, 'Runs per turn, waited for together; 10 or more on accelerators.')
RECORD = flags.DEFINE_string('record', '', 'Adds the results to benchmarks/records/NAME.jsonl.')
NOTE = flags.DEFINE_string('note', '', 'Goes into the record: what else the machine was doing, say.')


def keep(measured: dict[str, Any]) -> None:
    """Adds a result to the record that was asked for, if any."""
    if RECORD.value:
        circumstances = {'rounds': ROUNDS.value, 'repeats': REPEATS.value, 'note': NOTE.value}
        records.add(records.FOLDER / f'{RECORD.value}.jsonl', measured | circumstances)
