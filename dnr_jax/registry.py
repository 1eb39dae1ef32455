"""Choosing by name: plain dicts, and one clear error when the name is unknown."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

Entry = TypeVar('Entry')


def choose(table: Mapping[str, Entry], name: str, kind: str) -> Entry:
    """Returns `table[name]`; raises ValueError with the nearest and all known names of this `kind`."""
    if name in table:
        return table[name]
    near = difflib.get_close_matches(str(name), table, n=1, cutoff=0.4)
    hint = f" Did you mean '{near[0]}'?" if near else ''
    raise ValueError(f"Unknown {kind} '{name}'.{hint} Known: {', '.join(table)}.")
