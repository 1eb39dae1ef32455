import pytest

from dnr_jax.data.transforms import mirrored_labels, without_mirror_image


def pairs(names):
    """The labels that change, as pairs."""
    mirrored = mirrored_labels(names)
    assert all(mirrored[other] == label for label, other in enumerate(mirrored))
    return [(label, other) for label, other in enumerate(mirrored) if label < other]


def test_classes_of_something_something_in_any_order():
    names = [
        'Holding something',
        'Turning the camera left while filming something',
        'Pushing something from left to right',
        'Turning the camera upwards while filming something',
        'Plugging something into something but pulling it right out as you remove your hand',
        'Pulling something from right to left',
        'Turning the camera right while filming something',
        'Pushing something from right to left',
        'Pulling something from left to right',
    ]
    assert pairs(names) == [(1, 6), (2, 7), (5, 8)]
    assert pairs(sorted(names)) == [(2, 3), (4, 5), (6, 7)]


@pytest.mark.parametrize(
    'one, other',
    [
        ('move left', 'move right'),
        ('Swiping Left', 'Swiping Right'),
        ('SWIPE_LEFT', 'swipe_right'),
        ('turn clockwise', 'turn counter-clockwise'),
        ('Turning Hand Clockwise', 'Turning Hand Counterclockwise'),
        ('roll anti clockwise', 'roll clockwise'),
        ('left foot turns clockwise', 'right foot turns anticlockwise'),
        ('TurnLeft', 'TurnRight'),
        ('turnLeft', 'turnRight'),
        ('RIGHTHook', 'LEFTHook'),
        ('MoveLeftUp', 'MoveRightUp'),
        ('Left2Right', 'Right2Left'),
        ('move_left', 'move_right'),
        ('left-hand', 'right-hand'),
        ('RotateClockwise', 'RotateCounterClockwise'),
        ('rotate_cw', 'rotate_ccw'),
        ('moving leftward', 'moving rightward'),
        ('Lefthook', 'Righthook'),
        ('turnleft', 'turnright'),
        ('bright light on the left', 'bright light on the right'),
        ('BrightLightLeft', 'BrightLightRight'),
    ],
)
def test_directions(one, other):
    assert mirrored_labels(['rest', one, other]) == (0, 2, 1)
    assert mirrored_labels([other, 'rest', one]) == (2, 1, 0)


@pytest.mark.parametrize(
    'names',
    [
        ['leftovers', 'bright', 'upright'],
        ['left', 'up'],  # no class to go to
        ['left to right', 'right to right'],  # all words are exchanged
        ['from left and right', 'rest'],
        ['Left', 'left', 'up'],
        ['vitamin l', 'vitamin r', 'clockwisely', 'counterclockwisely'],
        [],
    ],
)
def test_names_without_a_mirror_image_stay(names):
    assert mirrored_labels(names) == tuple(range(len(names)))


def test_classes_of_a_direction_that_are_their_own_mirror_images():
    names = ['TurnLeft', 'TurnRight', 'StepLeft', 'step to the right side', 'lefthook', 'rest', 'turn clockwise', 'cwm']
    assert without_mirror_image(names) == ['StepLeft', 'step to the right side', 'lefthook', 'turn clockwise']


@pytest.mark.parametrize('names', [['LEFT', 'left', 'right'], ['Left', 'right', 'RIGHT', 'left']])
def test_names_that_differ_in_their_case_only_stay_an_exchange(names):
    """Two classes never go to one, so that each class of a mirrored view is some class."""
    pairs(names)
