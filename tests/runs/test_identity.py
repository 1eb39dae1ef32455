"""Which changes of a config are another training."""

from dnr_jax.runs.identity import CHANGEABLE, completed, differences

THERE = {'seed': 0, 'model': {'norm': {'stride': 2}}, 'data': {'name': 'a', 'dir': '/x'}, 'run': {'workers': 8}}


def test_the_same():
    assert not list(differences(THERE, THERE, CHANGEABLE))


def test_what_may_change():
    here = THERE | {'run': {'workers': 0}, 'data': {'name': 'a', 'dir': '/y'}}
    assert not list(differences(THERE, here, CHANGEABLE))


def test_what_may_not():
    here = THERE | {'seed': 1, 'model': {'norm': {'stride': 4}}, 'data': {'name': 'b', 'dir': '/x'}}
    assert list(differences(THERE, here, CHANGEABLE)) == [
        'data.name (a there, b here)',
        'model.norm.stride (2 there, 4 here)',
        'seed (0 there, 1 here)',
    ]


def test_a_key_only_one_has():
    assert list(differences({}, {'seed': 1}, CHANGEABLE)) == ['seed (None there, 1 here)']


def test_a_config_of_an_earlier_version_has_what_was_done_then():
    """At any depth, beside what it says itself; sections that it has not stay away."""
    norm = {'stride': 2, 'reading_dropout': 0.5}
    there = {'seed': 0, 'model': {'width': 8, 'norm': norm}, 'data': {'cache': 1}}
    assert completed(there) == {
        'seed': 0,
        'model': {'width': 8, 'standardize_weights': False, 'norm': norm | {'renormalization': [3.0, 5.0]}},
        'data': {'cache': 1},
    }
    assert norm == {'stride': 2, 'reading_dropout': 0.5}
