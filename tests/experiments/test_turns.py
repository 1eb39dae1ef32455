"""Why turns are not told apart: what each training differs in, what is recorded of it, and its row."""

import cv2
import numpy as np
import pytest

from configs import moving_shapes
from dnr_jax.data.builders import shapes
from dnr_jax.norms.words import norm_slots
from experiments import turns
from experiments.turns import CASES, IS_TURN, SPREAD, TEST, TRAIN, Case, draw, passing_one_angle, plan, run, table


@pytest.fixture
def config():
    return moving_shapes.get_config()


def test_each_run_once_seed_by_seed():
    assert plan(['TSM', 'as it is'], seeds=2) == [('TSM', 0), ('as it is', 0), ('TSM', 1), ('as it is', 1)]
    with pytest.raises(ValueError, match="Unknown case 'TSN'. Did you mean 'TSM'"):
        plan(['as it is', 'TSN'], seeds=1)


@pytest.mark.parametrize('name', CASES)
def test_a_case_is_the_demo_but_for_what_it_says(config, name):
    """Its keys exist, its norms are those of a basic block, and one thing differs, of a network or of its videos."""
    changed = moving_shapes.get_config(CASES[name].model)
    changed.update_from_flattened_dict(CASES[name].changes)
    assert len(norm_slots(changed.model.norms, 2)) == 2
    assert (name == 'as it is') == (CASES[name] == Case())
    assert len(set(map(repr, CASES.values()))) == len(CASES)
    assert all(
        config.to_dict()[key.split('.')[0]] != changed.to_dict()[key.split('.')[0]] for key in CASES[name].changes
    )


def test_clips_are_whole_frames_from_the_first_in_an_order_without_classes(config):
    clips, labels = draw(Case(), 'test', 16, config)
    assert clips.shape == (16, config.clip.frames, 32, 32, 3) and clips.dtype == np.uint8
    assert sorted(labels) == sorted([*range(8)] * 2) and labels.tolist() != sorted(labels)
    again, _ = draw(Case(), 'test', 16, config)
    np.testing.assert_array_equal(clips, again)
    index = int(np.random.default_rng(0).permutation(16)[0])
    first = shapes.render(shapes.draw_parameters(shapes.SEED, 'test', index))
    assert labels[0] == index % 8
    whole = [cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA) for frame in first[::2]]
    np.testing.assert_array_equal(clips[0], whole[: config.clip.frames])


def test_turns_alone(config):
    clips, labels = draw(Case(alone=True), 'train', 16, config)
    assert len(clips) == 4 and IS_TURN[labels].all() and IS_TURN.sum() == 2


def test_turns_pass_one_angle_in_their_middle():
    """And turn as far as before."""
    turn = {'label': 6, 'start': {'angle': 200.0, 'x': 1}, 'end': {'angle': 290.0, 'x': 1}}
    middles = []
    for seed in range(200):
        of = passing_one_angle(turn, np.random.default_rng(seed))
        assert of['end']['angle'] - of['start']['angle'] == pytest.approx(90) and of['start']['x'] == 1
        middles.append((of['start']['angle'] + of['end']['angle']) / 2)
    assert -SPREAD <= min(middles) < -0.9 * SPREAD and 0.9 * SPREAD < max(middles) <= SPREAD
    assert turn['start']['angle'] == 200.0


def test_what_is_recorded(monkeypatch):
    """Of eight test clips, one a class, the turn of an even number is right, and nothing else but class 0."""
    labels = np.arange(8, dtype=np.int32)
    trained = []

    class FakeTrainer:
        def __init__(self, config, classes, steps_per_epoch):
            trained.append((config.model.backbone, config.seed, classes, steps_per_epoch))

        def run(self, seed, clips):
            right = np.isin(clips.test_labels, [0, int(np.flatnonzero(IS_TURN)[0])])
            return {'steps': 9, 'seconds': 1.5, 'loss': [2.0], 'top1': {'running': 0.25, 'training': 0.5},
                    'right': {'running': np.packbits(right).tobytes().hex()}, 'drift': {}}  # fmt: skip

    def drawn(case, split, count, config):
        assert count == {'train': TRAIN, 'test': TEST}[split]
        return (np.zeros((64, 1)), np.zeros(64)) if split == 'train' else (np.zeros((8, 1)), labels)

    monkeypatch.setattr(turns, 'Trainer', FakeTrainer)
    monkeypatch.setattr(turns, 'draw', drawn)
    assert run('TSM', 3) == {
        'case': 'TSM', 'seed': 3, 'top1': 0.25, 'turns': 0.5, 'steps': 9, 'seconds': 1.5, 'loss': [2.0],
    }  # fmt: skip
    assert trained == [('tsm_resnet18', 3, 8, 4)]


def test_a_row_for_each_case():
    found = [{'case': 'TSM', 'seed': seed, 'steps': 1024, 'top1': top1, 'turns': 0.5}
             for seed, top1 in enumerate((0.25, 0.75))]  # fmt: skip
    found.append({'case': 'as it is', 'seed': 0, 'steps': 1024, 'top1': 0.875, 'turns': 0.55})
    assert table(found).splitlines()[2:] == [
        '| as it is | 1 | 1,024 | 87.5% | 55.0% |',
        '| TSM | 2 | 1,024 | 25.0%, 75.0% | 50.0%, 50.0% |',
    ]
