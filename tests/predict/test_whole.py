"""Predictions of files are those of an evaluation of the same videos; what cannot be read keeps nothing from it."""

import numpy as np
import pytest

from dnr_jax import parallel
from dnr_jax.data.source import open_split
from dnr_jax.data.video.encoding import to_jpegs
from dnr_jax.data.video.errors import Reason
from dnr_jax.evaluation import scoring
from dnr_jax.evaluation.eval_step import make_predict
from dnr_jax.predict import whole


@pytest.fixture(scope='module')
def source(tiny_dir):
    return open_split('moving_shapes/tiny', str(tiny_dir), 'test[:6]')


@pytest.mark.parametrize(('clips', 'crops', 'average'), [(1, 1, 'logits'), (2, 3, 'probabilities')])
def test_logits_of_files_are_those_of_an_evaluation(make_found, source, tmp_path, clips, crops, average):
    found, mesh = make_found(), parallel.make_mesh()
    found.config.test.update({'clips': clips, 'crops': crops, 'average': average})
    step = make_predict(found.config, found.model, mesh, views_at_once=0)
    expected = scoring.evaluate(step, found.variables, source, found.config, 'test', mesh, before_batch=lambda: None)
    for record in (source[i] for i in range(len(source))):
        (tmp_path / f'{record["id"]}.mp4').write_bytes(record['video'])
    said = {of.path.stem: of.logits for of in whole.predictor(found, mesh)(whole.find([tmp_path]))}
    assert said.keys() == set(expected.ids.tolist())
    for id, logits in zip(expected.ids.tolist(), expected.logits, strict=True):
        np.testing.assert_allclose(said[id], logits, atol=1e-5)
    assert np.ptp(expected.logits, axis=0).max() > 0.1  # the videos are told apart


def test_what_cannot_be_read_has_its_reason_and_its_place(make_found, video, tmp_path):
    found, mesh = make_found(), parallel.make_mesh()
    data = video.read_bytes()
    frames = tmp_path / 'frames'
    frames.mkdir()
    for number, jpeg in enumerate(to_jpegs(np.zeros((9, 40, 50, 3), np.uint8), short_side=0, quality=90)):
        (frames / f'{number:03}.jpg').write_bytes(jpeg)
    contents = {'a.mp4': data, 'cut.mp4': data[: len(data) // 2], 'empty.mp4': b'', 'note.txt': b'hello', 'z.mp4': data}
    paths = [tmp_path / name for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        path.write_bytes(content)
    paths = whole.find([*paths, tmp_path / 'nowhere.mp4', frames])
    predictions = list(whole.predictor(found, mesh)(paths))
    assert [of.path for of in predictions] == paths
    reasons = [of.failure and of.failure.reason for of in predictions]
    assert reasons == [None, Reason.UNREADABLE, Reason.EMPTY, Reason.UNREADABLE, None, Reason.MISSING, None]
    assert "'nowhere" not in str(predictions[1].failure) and 'nowhere.mp4' in str(predictions[5].failure)
    assert [of.logits is None for of in predictions] == [reason is not None for reason in reasons]
    np.testing.assert_allclose(predictions[0].logits, predictions[4].logits, atol=1e-6)
    assert predictions[0].probabilities.sum() == pytest.approx(1)


def test_videos_are_found_in_folders_by_name_and_once(tmp_path):
    for name in ('b.mp4', 'a.avi', 'note.txt', 'more/c.webm', 'more/.hidden.mp4'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / 'more' / 'unmounted.mp4').symlink_to(tmp_path / 'nothing' / 'there.mp4')
    found = whole.find([tmp_path / 'more', tmp_path])
    assert [path.name for path in found] == ['c.webm', 'unmounted.mp4', 'a.avi', 'b.mp4']
    (tmp_path / 'none').mkdir()
    with pytest.raises(ValueError, match="in the folder '.*none', got none"):
        whole.find([tmp_path / 'none'])
    with pytest.raises(ValueError, match='got none'):
        whole.find([])
