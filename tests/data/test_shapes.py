import hashlib
import json

import numpy as np
import pytest

from dnr_jax.data.builders import shapes
from dnr_jax.data.video.decoding import read_frames

PARAMETERS = [shapes.draw_parameters(0, 'train', index) for index in range(400)]


def of_class(name):
    label = shapes.LABEL_NAMES.index(name)
    return [parameters for parameters in PARAMETERS if parameters['label'] == label]


def test_parameters_never_change():
    """Published numbers are about these very clips. If this fails, the data set needs a new version."""
    text = json.dumps(PARAMETERS, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == '31c72b6226561be6c50822b8422e485c487f3f28fb40241cbcca004b9f7640a4'


def test_labels_are_balanced():
    assert [parameters['label'] for parameters in PARAMETERS] == [index % 8 for index in range(400)]


def test_parameters_survive_json():
    assert json.loads(json.dumps(PARAMETERS)) == PARAMETERS


def test_clips_differ_between_seeds_splits_and_indices():
    keys = [(0, 'train', 0), (1, 'train', 0), (0, 'test', 0), (0, 'train', 8)]
    drawn = [shapes.draw_parameters(*key) for key in keys]
    assert len({parameters['noise_seed'] for parameters in drawn}) == 4


@pytest.mark.parametrize('name', shapes.LABEL_NAMES)
def test_the_motion_is_the_one_of_the_label(name):
    """Everything but one quantity stands still, and that one goes the right way, and as far as it should."""
    quantity, sign, (least, most) = {
        'move right': ('x', 1, shapes.TRAVEL),
        'move left': ('x', -1, shapes.TRAVEL),
        'move down': ('y', 1, shapes.TRAVEL),
        'move up': ('y', -1, shapes.TRAVEL),
        'grow': ('radius', 1, np.log(shapes.GROWTH)),
        'shrink': ('radius', -1, np.log(shapes.GROWTH)),
        'turn clockwise': ('angle', 1, shapes.TURN),
        'turn counter-clockwise': ('angle', -1, shapes.TURN),
    }[name]
    for parameters in of_class(name):
        path = shapes.poses(parameters)
        for other in set(path) - {quantity}:
            assert np.ptp(path[other]) == 0
        way = np.log(path['radius']) if quantity == 'radius' else path[quantity]
        steps = sign * np.diff(way)
        np.testing.assert_allclose(steps, steps.mean(), rtol=1e-6)
        assert least - 0.01 <= steps.sum() <= most + 0.01


@pytest.mark.parametrize('index', range(8))
def test_a_class_run_backwards_is_its_opposite(index):
    parameters = {**PARAMETERS[index], 'noise': 0.0}
    opposite = shapes.reverse(parameters)
    names = [shapes.LABEL_NAMES[label] for label in sorted((parameters['label'], opposite['label']))]
    assert names in [
        ['move right', 'move left'],
        ['move down', 'move up'],
        ['grow', 'shrink'],
        ['turn clockwise', 'turn counter-clockwise'],
    ]
    np.testing.assert_array_equal(shapes.render(opposite), shapes.render(parameters)[::-1])
    assert shapes.reverse(opposite) == parameters


def test_opposite_classes_draw_alike(monkeypatch):
    """The draws do not know which of a pair they are for; the label only decides if the poses are swapped."""
    draw_path, asked = shapes._draw_path, []

    def spy(motion, rng):
        asked.append(motion)
        return draw_path(motion, rng)

    monkeypatch.setattr(shapes, '_draw_path', spy)
    for index in range(8):
        shapes.draw_parameters(0, 'train', index)
    assert asked == [motion for motion in shapes.LABEL_NAMES[::2] for _ in range(2)]


@pytest.mark.parametrize('pair', range(4))
def test_single_frames_of_opposite_classes_are_distributed_alike(pair):
    """Poses at a random time: the two classes have the same means and spreads, up to chance."""
    rng = np.random.default_rng(0)
    drawn = {0: [], 1: []}
    for index in range(1600):
        label = 2 * pair + index % 2
        path = shapes.poses(shapes.draw_parameters(1, 'train', 8 * index + label))
        time = rng.integers(shapes.FRAMES)
        drawn[index % 2].append([path[name][time] for name in ('x', 'y', 'radius')])
    first, second = np.array(drawn[0]), np.array(drawn[1])
    chance = np.sqrt((first.var(axis=0) + second.var(axis=0)) / 800)
    assert (np.abs(first.mean(axis=0) - second.mean(axis=0)) < 4 * chance).all()
    np.testing.assert_allclose(first.std(axis=0), second.std(axis=0), rtol=0.15)


@pytest.mark.parametrize('name', shapes.SHAPES)
def test_no_shape_looks_the_same_after_a_turn(name):
    pose = {'x': 36.0, 'y': 36.0, 'radius': 15.0}
    path = {key: np.full(shapes.FRAMES, value) for key, value in pose.items()}
    angles = np.linspace(0, 345, shapes.FRAMES)
    cover = shapes.cover_of(shapes.SHAPES[name], path | {'angle': angles})
    for angle, image in zip(angles[2:-1], cover[2:-1], strict=True):  # 30 to 330 degrees
        overlap = np.minimum(image, cover[0]).sum() / np.maximum(image, cover[0]).sum()
        assert overlap < 0.85, (name, angle)


def test_turns_cannot_be_mistaken_for_turns_the_other_way():
    per_frame = shapes.TURN[1] / (shapes.FRAMES - 1)
    assert 4 * per_frame < 60  # every fourth frame: far from the 180 degrees where the direction is lost


@pytest.mark.parametrize('index', range(16))
def test_the_shape_stays_in_the_picture_and_stands_out(index):
    parameters = shapes.draw_parameters(2, 'test', index)
    cover = shapes.cover_of(shapes.SHAPES[parameters['shape']], shapes.poses(parameters))
    assert cover.shape == (shapes.FRAMES, shapes.SIZE, shapes.SIZE) and cover.min() == 0 and cover.max() == 1
    path = shapes.poses(parameters)
    for x in (path['x'], path['y']):
        assert (x > path['radius'] - shapes.MARGIN - 0.01).all()
        assert (x < shapes.SIZE - path['radius'] + shapes.MARGIN + 0.01).all()
    clip = shapes.render(parameters).astype(float)
    inside, outside = (clip[mask].mean(axis=0) for mask in (cover > 0.99, cover < 0.01))
    assert np.abs(inside - outside).max() > 40


def test_clockwise_is_clockwise_on_the_screen():
    """An arrow that points right at 0 degrees points down at 90, since y counts downwards."""
    pose = {'x': 36.0, 'y': 36.0, 'radius': 20.0, 'angle': 90.0}
    path = {name: np.full(shapes.FRAMES, value) for name, value in pose.items()}
    cover = shapes.cover_of(shapes.SHAPES['arrow'], path)
    rows = np.nonzero(cover[0].sum(axis=1))[0]
    widest = cover[0].sum(axis=1).argmax()
    assert widest > (rows[0] + rows[-1]) / 2  # the head, below the shaft


def test_example():
    example = shapes.make_example('validation', 9)
    assert example['num_frames'] == shapes.FRAMES and not len(example['frame_ends'])
    assert json.loads(example['parameters']) == shapes.draw_parameters(0, 'validation', 9)


def test_the_encoded_clip_does_not_show_the_direction_of_time_either(monkeypatch):
    parameters = {**PARAMETERS[0], 'noise': 0.0}
    monkeypatch.setattr(shapes, 'draw_parameters', lambda *key: parameters)
    forward = read_frames(shapes.make_example('train', 0)['video'], range(shapes.FRAMES))
    monkeypatch.setattr(shapes, 'draw_parameters', lambda *key: shapes.reverse(parameters))
    backward = read_frames(shapes.make_example('train', 1)['video'], range(shapes.FRAMES))
    np.testing.assert_array_equal(forward, backward[::-1])
