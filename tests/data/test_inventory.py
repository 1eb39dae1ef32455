from dnr_jax.data import inventory
from dnr_jax.data.annotations.rows import Rejected

RECORDS = {'train': [('a', 0), ('b', 1)], 'test': [('c', -1)]}
REJECTED = [
    Rejected('train', 'x', '/x.mp4', 'missing', 'a, "quoted" detail'),
    Rejected('train', 'y', '/y.mp4', 'missing', 'line\nbreak'),
    Rejected('validation', 'ü', '/ü.mp4', 'unreadable', ''),
]


def test_counts_add_up():
    splits = inventory.take(RECORDS, REJECTED)
    assert {split: (counts['rows'], counts['records'], counts['unlabelled']) for split, counts in splits.items()} == {
        'train': (4, 2, 0),
        'test': (1, 1, 1),
        'validation': (1, 0, 0),
    }
    assert splits['train']['rejected'] == {'missing': 2}
    assert inventory.to_text(splits).splitlines() == [
        'train               4 rows = 2 records + 2 rejected (2 missing)',
        'test                1 rows = 1 records',
        'validation          1 rows = 0 records + 1 rejected (1 unreadable)',
    ]


def test_classes_that_nothing_is_learnt_of():
    names = ['run', 'sit', 'walk']
    assert inventory.unseen({'train': [('a', 1)], 'validation': [('b', 0)]}, names) == ['run', 'walk']
    assert inventory.unseen({'validation': [('b', 0), ('c', -1)]}, names) == ['sit', 'walk']


def test_the_fingerprint_is_of_ids_and_labels_in_any_order():
    assert inventory.fingerprint([('a', 0), ('b', 1)]) == inventory.fingerprint([('b', 1), ('a', 0)])
    others = [[('a', 0)], [('a', 1), ('b', 0)], [('a', 0), ('c', 1)], [('a', 0), ('b', 1), ('b', 1)]]
    assert (
        len({inventory.fingerprint(records) for records in others} | {inventory.fingerprint([('a', 0), ('b', 1)])}) == 5
    )


def test_what_is_written_can_be_read(tmp_path):
    wanted = {'splits': inventory.take(RECORDS, REJECTED)}
    inventory.write(tmp_path, wanted, REJECTED)
    assert inventory.read(tmp_path) == (wanted, REJECTED)
