"""What a training says of itself before its first step and after its last."""

from pathlib import Path

import pytest
from ml_collections import ConfigDict

from dnr_jax.runs.stored import Checkpoint
from dnr_jax.training import introduction


@pytest.mark.parametrize(
    ('step', 'told'),
    [
        (0, []),
        (12, ['goes on from its checkpoint of step 12, epoch 0.25']),
        (96, ['this training is finished, step 96 of 96: its last checkpoint is scored again.']),
    ],
)
def test_a_training_that_was_begun_before(step, told):
    found = list(introduction.continued(step, 96, 48))
    assert len(found) == len(told) and all(line.startswith(words) for line, words in zip(found, told, strict=True))


def test_the_end_says_what_was_tested_and_how_the_best_one_would_be():
    best = Checkpoint(48, {}, {'top1': 0.875, 'videos': 32.0})
    tested, where = introduction.conclude(Path('my runs/a'), 96, best).split('\n')
    assert tested == (
        'tested is the last checkpoint, of step 96; the best one by validation is of step 48, top-1 87.5%: '
        "python eval.py --workdir='my runs/a' --checkpoint=best"
    )
    assert "'my runs/a'/test" in where and "tensorboard --logdir='my runs/a'" in where


@pytest.mark.parametrize(
    ('best', 'end'),
    [(Checkpoint(96, {}, {'top1': 0.5, 'videos': 2.0}), 'which is the best one by validation too'), (None, 'step 96')],
)
def test_the_end_where_there_is_no_better_one(best, end):
    tested, _ = introduction.conclude(Path('runs/a'), 96, best).split('\n')
    assert tested.endswith(end) and 'eval.py' not in tested


@pytest.mark.parametrize(
    ('flip', 'names', 'told'),
    [
        (0.0, ['TurnLeft', 'TurnRight'], []),
        (0.5, ['run', 'L', 'R'], ['50% of the clips are mirrored, which exchanges no classes, by their names']),
        (
            0.5,
            ['TurnLeft', 'run', 'TurnRight', 'StepLeft'],
            [
                "50% of the clips are mirrored, which exchanges the classes 'TurnLeft / TurnRight'",
                "note: no class is the mirror image of 'StepLeft' by its name, so mirrored clips keep that class; "
                'where it is one of a direction, rename it and its opposite alike, or give --config.augment.flip=0',
            ],
        ),
    ],
)
def test_what_a_mirror_does_to_classes_is_told(flip, names, told):
    """In silence, half of the clips of a class that has a direction would have the wrong label."""
    augment = ConfigDict({'flip': flip, 'flip_labels': True})
    assert list(introduction.mirrored(augment, names)) == told
    augment.flip_labels = False
    assert not list(introduction.mirrored(augment, names))
