import hashlib
import json

import numpy as np
import pytest

from dnr_jax.data.builders import hard_shapes, moving_shapes
from dnr_jax.data.video.decoding import read_frames

CLASSES = len(hard_shapes.LABEL_NAMES)
PARAMETERS = [hard_shapes.draw_parameters(0, 'train', index) for index in range(30 * CLASSES)]


def of_class(name):
    label = hard_shapes.LABEL_NAMES.index(name)
    return [parameters for parameters in PARAMETERS if parameters['label'] == label]


def actor(parameters):
    return parameters['bodies'][-2]


def path_of(parameters):
    return hard_shapes.poses(actor(parameters), parameters['pace'])


def test_parameters_never_change():
    """Published numbers are about these very clips. If this fails, the data set needs a new version."""
    digest = hashlib.sha256(json.dumps(PARAMETERS, sort_keys=True).encode()).hexdigest()
    assert digest == '723d33cad8d725abbba4a816ecde7083e8ae764ff8bb3c47deacf822e3f93293'


def test_pictures_never_change():
    clips = [hard_shapes.render(parameters) for parameters in PARAMETERS[:3]]
    means = [[clip[t].mean() for t in (0, 23)] for clip in clips]
    np.testing.assert_allclose(means, [[32.65, 34.11], [42.47, 42.51], [53.79, 52.46]], atol=0.05)


def test_parameters_survive_json():
    assert json.loads(json.dumps(PARAMETERS)) == PARAMETERS


def test_clips_differ_between_seeds_splits_and_indices():
    keys = [(0, 'train', 0), (1, 'train', 0), (0, 'test', 0), (0, 'train', CLASSES)]
    assert len({hard_shapes.draw_parameters(*key)['noise_seed'] for key in keys}) == 4


@pytest.mark.parametrize('index', range(CLASSES))
def test_a_class_run_backwards_is_its_opposite(index):
    parameters = {**PARAMETERS[index], 'noise': 0.0}
    opposite = hard_shapes.reverse(parameters)
    assert {parameters['label'], opposite['label']} == {index // 2 * 2, index // 2 * 2 + 1}
    forwards, backwards = (hard_shapes.render(of).astype(int) for of in (parameters, opposite))
    assert np.abs(backwards - forwards[::-1]).max() <= 1  # rounding of the way there and back
    assert np.abs(forwards - forwards[::-1]).max() > 100
    assert hard_shapes.reverse(opposite) == parameters


def test_opposite_classes_draw_alike(monkeypatch):
    """The draws do not know which of a pair they are for; the label only decides if the clip is reversed."""
    draw_motion, asked = hard_shapes._draw_motion, []

    def spy(motion, rng):
        asked.append(motion)
        return draw_motion(motion, rng)

    monkeypatch.setattr(hard_shapes, '_draw_motion', spy)
    for index in range(CLASSES):
        hard_shapes.draw_parameters(0, 'train', index)
    assert asked == [motion for motion in hard_shapes.LABEL_NAMES[::2] for _ in range(2)]


@pytest.mark.parametrize(
    'name, quantity, sign',
    [
        ('move right', 'x', 1),
        ('move left', 'x', -1),
        ('move down', 'y', 1),
        ('move up', 'y', -1),
        ('grow', 'radius', 1),
        ('shrink', 'radius', -1),
        ('turn clockwise', 'angle', 1),
        ('turn counter-clockwise', 'angle', -1),
    ],
)
def test_the_motion_is_the_one_of_the_label(name, quantity, sign):
    """Everything but one quantity stands still, and that one goes the right way all the time."""
    for parameters in of_class(name):
        path = path_of(parameters)
        assert (sign * np.diff(path[quantity]) > 0).all()
        for other in set(path) - {quantity}:
            assert np.ptp(path[other]) < 0.01


@pytest.mark.parametrize('name, sign', [('circle clockwise', 1), ('circle counter-clockwise', -1)])
def test_a_circle_goes_round_its_centre(name, sign):
    for parameters in of_class(name):
        path, centre = path_of(parameters), actor(parameters)['start']
        dx, dy = path['x'] - centre['x'], path['y'] - centre['y']
        np.testing.assert_allclose(np.hypot(dx, dy), centre['orbit'], rtol=1e-6)
        turned = np.rad2deg(np.diff(np.unwrap(np.arctan2(dy, dx))))  # y counts downwards: clockwise on the screen
        assert (sign * turned > 0).all()
        assert hard_shapes.SWEEP[0] - 0.01 <= sign * turned.sum() <= hard_shapes.SWEEP[1] + 0.01


@pytest.mark.parametrize('name, sign', [('speed up', 1), ('slow down', -1)])
def test_a_change_of_pace_is_greater_than_any_other(name, sign):
    def gain(parameters):
        path = path_of(parameters)
        speeds = np.hypot(np.diff(path['x']), np.diff(path['y']))
        return np.log(speeds[-1] / speeds[0])

    changes = [sign * gain(parameters) for parameters in of_class(name)]
    others = [abs(gain(parameters)) for parameters in of_class('move right') + of_class('move up')]
    assert min(changes) > 1.5 > 2 * max(others)


@pytest.mark.parametrize('index', range(CLASSES))
def test_the_scene_is_crowded_and_its_actor_stands_out(index):
    parameters = PARAMETERS[index]
    *distractors, acting, bar = parameters['bodies']
    low, high = hard_shapes.DISTRACTORS
    assert low <= len(distractors) <= high
    assert max(acting['color']) > max(max(of['color']) for of in distractors) + 40 > max(bar['color'])
    assert bar['start'] == bar['end'] and isinstance(bar['shape'], float)
    assert any(of['start']['x'] != of['end']['x'] for of in distractors)
    assert parameters['camera']['start'] != parameters['camera']['end']
    assert np.abs([*parameters['camera'].values()]).max() <= hard_shapes.PAN


def test_distractors_tell_nothing_of_the_class():
    """Of opposite classes they drift alike: forwards as often as backwards."""
    drift = [
        np.mean([of['end']['x'] - of['start']['x'] for of in parameters['bodies'][:-2]])
        for parameters in of_class('move right')
    ]
    assert abs(np.mean(drift)) < 4 * np.std(drift) / len(drift) ** 0.5


def test_example():
    example = hard_shapes.make_example('validation', 9)
    parameters = json.loads(example['parameters'])
    assert parameters == hard_shapes.draw_parameters(0, 'validation', 9)
    shown = read_frames(example['video'], range(hard_shapes.FRAMES)).astype(int)
    assert np.abs(shown - hard_shapes.render(parameters)).mean() < 12


def test_the_variant_holds_as_many_clips_of_every_class(tmp_path):
    builder = moving_shapes.MovingShapes(data_dir=tmp_path, config='hard', file_format='array_record')
    annotated = builder.list_rows()
    assert annotated.label_names == hard_shapes.LABEL_NAMES
    for split, size in moving_shapes.SIZES['hard'].items():
        labels = [row.label for row in annotated.rows if row.split == split]
        assert len(labels) == size and {labels.count(name) for name in labels} == {size // CLASSES}
    assert builder.maker()(annotated.rows[5])['parameters'] == json.dumps(PARAMETERS[5])
