"""What is drawn is what was predicted: bars of the right length at the right frame, maps that are the gradient's."""

from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_networks3d as networks3d
from small_networks import normal, short

from configs import moving_shapes
from dnr_jax import parallel
from dnr_jax.data.transforms import Box
from dnr_jax.data.video import decoding, errors
from dnr_jax.data.video.encoding import encode
from dnr_jax.predict import annotation, pictures, running, saliency
from dnr_jax.predict.whole import Prediction

NAMES = ('run', 'a very long name of a class that has no room beside its share, whatever is done about it')


def bar_of(panel, colour):
    """Pixels across of the first row in which a bar has this colour."""
    return max((row == colour).all(axis=1).sum() for row in panel)


@pytest.mark.parametrize('size', [(72, 72), (256, 340), (720, 1281)])
def test_panels_show_what_was_predicted_until_then(size):
    """From frame 3 on, 3 : 1 for the first class; before, nothing."""
    frames = np.full((4, *size, 3), 7, np.uint8)
    running = [(3, np.log(np.array([3, 1], np.float32)))]
    before, _, after, _ = annotation.below_each(frames, running, NAMES, top=2)
    assert before.shape == after.shape and before.shape[0] % 2 == before.shape[1] % 2 == 0
    height, width = before.shape[0], before.shape[1]
    assert width >= annotation.LEAST_WIDTH and abs(size[0] / size[1] - (height * 480 / width - 84) / 480) < 0.02
    assert bar_of(before, annotation.BEST) == bar_of(before, annotation.TEXT) == 0
    room = bar_of(before, annotation.TRACK)
    assert bar_of(after, annotation.BEST) == pytest.approx(0.75 * room, abs=2)
    assert bar_of(after, annotation.OTHERS) == pytest.approx(0.25 * room, abs=2)
    assert (after == 255).all(axis=2).any()


def test_names_without_room_are_shortened():
    text = annotation.shortened(NAMES[1], 300, 1.0)
    assert text.endswith('...') and annotation.text_width(text, 1.0) <= 300
    assert annotation.shortened('run', 300, 1.0) == 'run'


def test_layers_are_stages():
    clip = 1, 8, 32, 32, 3
    names = {
        ('stage1',): short('resnet18', 'dnr', remat=True),
        ('stage1', 'stage2'): short('mobilenet_v2', 'batch'),
        ('fast/stage1', 'slow/stage1'): networks3d.short('slowfast_resnet50_4x16', 'batch', remat=True),
    }
    for expected, model in names.items():
        found = saliency.layers(model, networks3d.shapes(model, clip), clip)
        assert tuple(found) == expected and found[expected[-1]][1] == (1 if 'slow/stage1' in found else 8)


def test_the_default_layer_has_enough_positions():
    assert (
        saliency.deepest({'stage1': (1, 8, 8, 8, 4), 'stage2': (1, 8, 4, 4, 8), 'stage3': (1, 8, 2, 2, 8)}) == 'stage2'
    )
    assert saliency.deepest({'stage1': (1, 8, 2, 2, 4), 'stage2': (1, 8, 1, 1, 8)}) == 'stage1'


class PointwiseStage(nn.Module):
    """A stage without norms, whose carry is nothing."""

    features: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.features)(x), ()


class TwoStages(nn.Module):
    """Clip [B T H W 3] -> logits [B 5]."""

    def setup(self):
        self.stage1, self.stage2, self.head = PointwiseStage(4), PointwiseStage(6), nn.Dense(5)

    def __call__(self, clip, train):
        return self.after(self.stage1(clip)[0])

    def after(self, features):
        return self.head(self.stage2(nn.tanh(features))[0].mean(axis=(1, 2, 3)))


def test_maps_are_the_gradient_of_the_class_score(random_variables):
    """Of the last stage, the weights are those of the linear layer."""
    model, clip, labels = TwoStages(), normal(2, 2, 4, 4, 3), jnp.array([1, 3])
    variables = random_variables(model, clip, train=False)
    first, _ = model.bind(variables).stage1(clip)
    last, _ = model.bind(variables).stage2(nn.tanh(first))

    def score(features):
        return model.apply(variables, features, method='after')[jnp.arange(2), labels].sum()

    of_first = jax.grad(score)(first).mean(axis=(1, 2, 3))
    of_last = variables['params']['head']['kernel'][:, labels].T / last[0, ..., 0].size
    for layer, features, weights in (('stage1', first, of_first), ('stage2', last, of_last)):
        heat = saliency.maps(model, variables, clip, labels, layer=layer)
        expected = np.maximum((features * weights[:, None, None, None]).sum(axis=-1), 0)
        np.testing.assert_allclose(heat, expected, rtol=1e-4, atol=1e-6)
        assert 0 < (heat > 0).mean() < 1


def test_maps_stand_over_their_frames():
    heat = np.zeros((2, 4, 4), np.float32)
    heat[0, 0, 0], heat[1, 3, 3] = 1, 4
    shares = saliency.over_frames(heat, (8, 32, 32), Box(0, 0, 32, 32))
    assert [tuple(map(int, np.argwhere(frame == frame.max())[0])) for frame in shares[[0, 3]]] == [(0, 0)] * 2
    assert shares[:4].max() == pytest.approx(0.25) and shares[4:].max() == 1 and (shares[4:, 31, 31] == 1).all()


def test_maps_lie_over_what_the_network_saw():
    """The centre of wide frames, smoothly, and at their own resolution."""
    heat = np.zeros((1, 4, 4), np.float32)
    heat[0, 1:3, 1:3] = 2
    config = moving_shapes.get_config()
    seen = running.seen_of(72, 144, config)  # 36 pixels high for the network, of which it sees 32 by 32
    assert seen == (4, 40, 64, 64)
    shares = saliency.over_frames(heat, (2, 72, 144), seen)
    assert shares.shape == (2, 72, 144) and shares.max() == 1 and shares.min() == 0
    outside = np.ones((72, 144), bool)
    outside[4:68, 40:104] = False
    assert not shares[:, outside].any()
    row = shares[0, 36, 40:104]
    assert np.abs(np.diff(row)).max() < 0.15 and row[32] > 0.8 > 0.2 > row[0]  # no steps of 16 pixels
    np.testing.assert_allclose(row, row[::-1], atol=1e-5)


def test_frames_are_shown_at_one_size_whatever_that_of_the_video():
    for height, width in ((72, 144), (1080, 2160)):
        assert saliency.fitted(np.zeros((height, width, 3), np.uint8)).shape == (240, 480, 3)
        shares = saliency.fitted(np.random.default_rng(0).random((height, width), np.float32))
        assert shares.shape == (240, 480) and 0 <= shares.min() <= shares.max() <= 1


def test_an_annotated_video_keeps_its_frame_rate(make_found, tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (8, 48, 64, 3), np.uint8)
    (tmp_path / 'slow.mp4').write_bytes(encode(frames, 12, quantizer=20, keyframe_interval=4))
    draw, _ = pictures.annotating(make_found(), top=1, mesh=parallel.make_mesh())
    draw(Prediction(tmp_path / 'slow.mp4', np.zeros(8, np.float32), None), tmp_path / 'out')
    assert decoding.frame_rate((tmp_path / 'out.running.mp4').read_bytes(), errors.UNLIMITED) == 12


def test_pictures_of_a_video(make_found, video, tmp_path):
    found = make_found()
    prediction = Prediction(video, np.arange(8, dtype=np.float32), None)
    draw, _ = pictures.annotating(found, top=3, mesh=parallel.make_mesh())
    draw(prediction, tmp_path / 'out')
    drawn = decoding.inspect((tmp_path / 'out.running.mp4').read_bytes(), errors.UNLIMITED)
    assert (drawn.num_frames, drawn.width, drawn.height) == (24, 480, 480 + 2 * 10 + 3 * 32)
    pictures.mapping(found, layer=None, label='grow')(prediction, tmp_path / 'out')
    assert Path(tmp_path / 'out.maps.png').read_bytes().startswith(b'\x89PNG')
    with pytest.raises(ValueError, match="Unknown class 'grown'. Did you mean 'grow'"):
        pictures.mapping(found, layer=None, label='grown')
    with pytest.raises(ValueError, match="Unknown layer 'stage9'"):
        pictures.mapping(found, layer='stage9', label=None)
