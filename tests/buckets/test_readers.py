"""All that reads a trained model reads one in a bucket, with its data there, and writes beside it."""

import json
import os

import forked
import numpy as np
import pytest
from numbered_videos import make_video
from untrained import make_config, one_block

import dnr_jax
from dnr_jax.compare import __main__ as compare
from dnr_jax.convert import conversion
from dnr_jax.data import prepare
from dnr_jax.data.builders.shapes import LABEL_NAMES
from dnr_jax.evaluation.checkpoint_score import evaluate_checkpoint
from dnr_jax.export import artefact
from dnr_jax.files import as_path, buckets, listed

pytestmark = pytest.mark.usefixtures('resnet2')


def unchanged(config):
    return config


def run(*arguments):
    """What a command prints that is typed so."""
    done = forked.run(*arguments, env=dict(os.environ), within=one_block)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def workdir(url, save_untrained):
    """A work folder with a network of random variables, and the data set of its config, in a bucket."""
    assert prepare.main(['moving_shapes', '--variant=tiny', f'--out={url}/data', '--workers=0']) == 0
    config = make_config('dnr', f'{url}/data')
    config.data.cache = 10**7
    config.run.workers = 0
    save_untrained(as_path(f'{url}/run'), config)
    return as_path(f'{url}/run')


def test_a_score(workdir):
    assert f'results go to {workdir}/test' in run('eval.py', f'--workdir={workdir}')
    results = evaluate_checkpoint(workdir, 'last', unchanged, f'{workdir}/again')
    assert results['videos'] == 32 and json.loads((workdir / 'test' / 'results.json').read_text()) == results
    assert sorted(listed(workdir / 'test')) == sorted(listed(workdir / 'again'))
    folders = f'{workdir}/test', f'{workdir}/again'
    assert compare.main([*folders, f'--out={workdir}/compared']) == 0
    assert sorted(listed(workdir / 'compared')) == ['classes.csv', 'classes.png', 'flips.csv']


def test_predictions_of_videos(workdir):
    videos = workdir.parent / 'videos'
    buckets.put(videos / 'a.mp4', make_video(frames=8))
    model = dnr_jax.load(str(workdir), test={'clips': 1, 'crops': 1})
    predicted = model.predict(f'{videos}/a.mp4')
    assert sorted(predicted) == sorted(LABEL_NAMES) and sum(predicted.values()) == pytest.approx(1)
    said = run('-m', 'dnr_jax.predict', f'--workdir={workdir}', f'--json={workdir}/said.jsonl', str(videos))
    (line,) = map(json.loads, (workdir / 'said.jsonl').read_text().splitlines())
    assert said.startswith(f'{videos}/a.mp4: ') and line['video'] == f'{videos}/a.mp4'
    assert line['predictions'][0]['probability'] == pytest.approx(max(predicted.values()), rel=1e-3)


def test_a_study_and_an_export(workdir):
    assert f'more in {workdir}/study' in run('-m', 'dnr_jax.study', 'trace', f'--workdir={workdir}')
    assert sorted(listed(workdir / 'study')) >= ['trace.json', 'trace.npz']
    about = artefact.export_checkpoint(
        workdir, 'last', unchanged, f'{workdir}/dnr.stablehlo', platforms=('cpu',), stream=False, horizon=None,
        check_clips=0,
    )  # fmt: skip
    assert listed(workdir)['dnr.stablehlo'] == about['bytes']


def test_weights_there_and_back(workdir, monkeypatch):
    monkeypatch.setattr(conversion, 'expect_released', lambda config: None)
    conversion.to_torch(workdir, 'last', f'{workdir}/weights.npz')
    arrays = np.load((workdir / 'weights.npz').open('rb'))
    assert len(arrays.files) > 10
