"""Mixup and CutMix on clips whose values say which clip, frame and channel they come from."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dnr_jax.training import mixing

B, T, H, W, C = 3, 2, 6, 9, 2
OWN = jnp.arange(B, dtype=jnp.float32)
CLIP = jnp.broadcast_to(OWN[:, None, None, None, None], (B, T, H, W, C))
TARGETS = jnp.eye(B)
KEYS = jax.random.split(jax.random.key(0), 200)


def many(**alphas):
    """`mix` of the same batch with every key: clips [N B T H W C], targets [N B K]."""
    mix = partial(mixing.mix, **alphas)
    clips, targets = jax.jit(jax.vmap(mix, in_axes=(0, None, None)))(KEYS, CLIP, TARGETS)
    return np.asarray(clips), np.asarray(targets)


def is_uniform(clips):
    """Whether each mixed batch [N] is the same everywhere in a clip, as mixup leaves it."""
    return (clips == clips[:, :, :1, :1, :1, :1]).all(axis=(1, 2, 3, 4, 5))


@pytest.fixture(scope='module')
def mixed_up():
    return many(mixup=0.2, cutmix=0.0)


@pytest.fixture(scope='module')
def cut():
    return many(mixup=0.0, cutmix=1.0)


def test_off_returns_its_inputs():
    clip, targets = mixing.mix(KEYS[0], CLIP, TARGETS, mixup=0.0, cutmix=0.0)
    assert clip is CLIP and targets is TARGETS


def test_blend_by_hand():
    blended = mixing.blend(jnp.array([[1.0], [2.0], [4.0]]), jnp.full((1, 1), 0.75))
    np.testing.assert_allclose(blended, [[0.75 + 1.0], [1.5 + 0.25], [3.0 + 0.5]])


def test_mixup_mixes_clips_and_targets_alike(mixed_up):
    clips, targets = mixed_up
    assert is_uniform(clips).all()
    np.testing.assert_allclose(clips[:, :, 0, 0, 0, 0], targets @ np.arange(B), atol=1e-6)
    np.testing.assert_allclose(targets[:, 1, 1], targets[:, 0, 0], atol=1e-6)  # one share for the batch
    np.testing.assert_allclose(targets[:, 1, 0], 1 - targets[:, 1, 1], atol=1e-6)  # of the clip before


def test_mixup_share_follows_beta(mixed_up):
    share = mixed_up[1][:, 0, 0]
    assert share.mean() == pytest.approx(0.5, abs=0.08)
    assert share.var() == pytest.approx(1 / (4 * (2 * 0.2 + 1)), rel=0.2)


def test_cutmix_takes_a_box_from_the_clip_before(cut):
    clips, _ = cut
    np.testing.assert_array_equal(clips, np.broadcast_to(clips[:, :, :1, :, :, :1], clips.shape))  # frames, channels
    own = clips[:, :, 0, :, :, 0] == np.arange(B)[None, :, None, None]
    before = clips[:, :, 0, :, :, 0] == np.array([2, 0, 1])[None, :, None, None]
    assert (own ^ before).all()
    for box in before[:, 0]:
        np.testing.assert_array_equal(box, box.any(axis=1)[:, None] & box.any(axis=0)[None])
    np.testing.assert_array_equal(before, np.broadcast_to(before[:, :1], before.shape))


def test_cutmix_target_is_the_exact_area(cut):
    clips, targets = cut
    for i, before in enumerate((2, 0, 1)):
        area = (clips[:, i, 0, :, :, 0] == before).mean(axis=(1, 2))
        np.testing.assert_allclose(targets[:, i, before], area, atol=1e-6)
    np.testing.assert_allclose(targets.sum(axis=2), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ('place', 'half', 'expected'), [(0, 0.25, [0, 1]), (3, 0.25, [1, 2, 3, 4]), (7, 0.5, [3, 4, 5, 6, 7])]
)
def test_box_side_by_hand(monkeypatch, place, half, expected):
    """Of 8 places, `half` is 2 or 4 to each side of the centre; the border cuts it."""
    monkeypatch.setattr(jax.random, 'randint', lambda *_: jnp.int32(place))
    np.testing.assert_array_equal(np.flatnonzero(mixing.inside(KEYS[0], jnp.float32(half), 8)), expected)


def test_box_that_is_not_cut_has_the_drawn_share(monkeypatch):
    monkeypatch.setattr(jax.random, 'beta', lambda *_: jnp.float32(0.75))
    kept = jax.vmap(lambda key: mixing.cutmix_share(key, 1.0, 8, 12).mean())(KEYS)
    assert kept.min() == 0.75 and kept.max() > 0.75


def test_both_take_turns():
    clips, targets = many(mixup=0.8, cutmix=1.0)
    boxed = np.isin(clips, np.arange(B)).all(axis=(1, 2, 3, 4, 5))
    assert (boxed | is_uniform(clips)).all()
    assert boxed.mean() == pytest.approx(0.5, abs=0.1)
    np.testing.assert_allclose(clips.mean(axis=(2, 3, 4, 5)), targets @ np.arange(B), atol=1e-5)


def test_negative_alpha():
    with pytest.raises(ValueError, match='0 or more, got -0.5 and 0.0'):
        mixing.mix(KEYS[0], CLIP, TARGETS, mixup=-0.5, cutmix=0.0)


@pytest.mark.parametrize('alphas', [{'mixup': 0.2, 'cutmix': 0.0}, {'mixup': 0.0, 'cutmix': 1.0}])
def test_one_clip_has_no_partner(alphas):
    with pytest.raises(ValueError, match='expected 2 or more, got 1'):
        mixing.mix(KEYS[0], CLIP[:1], TARGETS[:1], **alphas)
    assert mixing.mix(KEYS[0], CLIP[:1], TARGETS[:1], mixup=0.0, cutmix=0.0)[0].shape == (1, T, H, W, C)
