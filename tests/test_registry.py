"""Choosing by name."""

import pytest

from dnr_jax.registry import choose

COLOURS = {'red': 1, 'green': 2}


def test_a_known_name_gives_its_entry():
    assert choose(COLOURS, 'green', 'colour') == 2


def test_an_unknown_name_lists_the_nearest_and_all():
    message = r"^Unknown colour 'gren'\. Did you mean 'green'\? Known: red, green\.$"
    with pytest.raises(ValueError, match=message):
        choose(COLOURS, 'gren', 'colour')


def test_a_name_like_no_other_gets_no_hint():
    with pytest.raises(ValueError, match=r"^Unknown colour 'xyz'\. Known: red, green\.$"):
        choose(COLOURS, 'xyz', 'colour')
