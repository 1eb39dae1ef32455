"""Choosing by name: plain dicts, and one clear error when the name is unknown."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Entry = TypeVar('Entry')


def choose(table: Mapping[str, Entry], name: str, kind: str) -> Entry:
    """Returns `table[name]`; raises ValueError with the nearest and all known names of this `kind`."""
    if name in table:
        return table[name]
    raise ValueError(f"Unknown {kind} '{name}'.{nearest(table, name)} Known: {', '.join(table)}.")


def nearest(names: Iterable[str], name: str) -> str:
    """' Did you mean ...?' with the one of the names that is most like this one; '' where none is."""
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
    return f" Did you mean '{near[0]}'?" if near else ''
