"""Training in temporary folders: it ends with the number that evaluation prints, and goes on where it stopped."""

import json
import multiprocessing
import shutil
from itertools import groupby
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import kills
from configs import moving_shapes
from dnr_jax import parallel
from dnr_jax.command.signals import Stopped
from dnr_jax.data import prepare
from dnr_jax.data.builders.shapes import make_example
from dnr_jax.data.pipeline import LoaderError
from dnr_jax.data.source import VideoSource
from dnr_jax.data.video.errors import VideoError
from dnr_jax.evaluation import checkpoint_score
from dnr_jax.evaluation.batches import training_shape, views_shape
from dnr_jax.evaluation.checkpoint_score import evaluate_checkpoint
from dnr_jax.evaluation.results import kept_for_results
from dnr_jax.runs import ownership, trained_model
from dnr_jax.runs.guards import Guards
from dnr_jax.runs.reporting import Reporter
from dnr_jax.training import introduction, loop, setup, validation
from dnr_jax.training.dry_run import dry_run

pytestmark = pytest.mark.usefixtures('resnet2')


def make_config(tiny_dir):
    """Nine steps on small frames."""
    config = moving_shapes.get_config('resnet2,dnr')
    config.data.update({'name': 'moving_shapes/tiny', 'dir': str(tiny_dir)})
    config.model.width, config.model.dropout = 4, 0.5
    config.clip.frames, config.clip.stride = 4, 4
    config.augment.size = config.validation.size = config.test.size = 32
    config.train.batch_size, config.train.epochs = 32, 3
    config.schedule.warmup_steps = 1
    config.run.update({'log_every_steps': 2, 'checkpoint_every_steps': 2, 'validate_every_epochs': 2})
    return config


@pytest.fixture
def config(tiny_dir):
    return make_config(tiny_dir)


@pytest.fixture(scope='module')
def finished(tmp_path_factory, tiny_dir, resnet2):
    """A work folder trained to the end, and the results of that training."""
    workdir = tmp_path_factory.mktemp('runs') / 'whole'
    return workdir, loop.train_and_evaluate(make_config(tiny_dir), workdir)


def read_lines(workdir):
    return [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]


def test_lines(finished):
    lines = read_lines(finished[0])
    assert [line['step'] for line in lines if line['kind'] == 'train'] == [2, 4, 6, 8, 9]
    assert [line['step'] for line in lines if line['kind'] == 'validation'] == [6, 9]
    assert lines[0].keys() >= {'loss', 'top1', 'learning_rate', 'clips_per_second', 'waiting_share'}
    assert list((finished[0] / 'tensorboard').iterdir())


def test_a_checkpoint_says_how_many_clips_shared_statistics(finished):
    found = trained_model.load(finished[0], 'last', lambda config: config, parallel.make_mesh())
    assert found.clips_per_statistic == found.config.train.batch_size // 2


def test_evaluation_gives_the_number_training_ended_with(finished, tmp_path):
    workdir, results = finished
    again = evaluate_checkpoint(workdir, 'last', lambda config: config, tmp_path / 'again')
    assert again == results
    for name in ('predictions.npz', 'results.json', 'confusion.png'):
        assert (tmp_path / 'again' / name).stat().st_size > 0
    one, other = (np.load(folder / 'predictions.npz') for folder in (workdir / 'test', tmp_path / 'again'))
    np.testing.assert_array_equal(one['logits'], other['logits'])
    assert len(set(one['ids'])) == len(one['ids']) == results['videos'] == 32
    assert (one['logits'].argmax(axis=1) == one['labels']).mean() == pytest.approx(results['top1'])


def test_stopped_and_started_again_ends_the_same(finished, config, tmp_path, monkeypatch):
    """Stopped after step 4 and started again: the same logits to the bit, and the same lines."""
    stopped_after(4, config, tmp_path, monkeypatch)
    results = loop.train_and_evaluate(config, tmp_path)
    assert results == finished[1]
    assert_same_end(finished[0], tmp_path)


def test_statistics_move_until_they_are_frozen_also_in_a_run_that_was_stopped(config, tmp_path, monkeypatch, capsys):
    """From step 6 on, the sixth of nine being past the 0.55 of them; stopped after step 8 and started again."""
    config.train.statistics_until, config.run.keep, may_be_traced = 0.55, 9, []
    with monkeypatch.context() as patch:
        patch.setattr(loop.Profiler, 'before', lambda self, step, settle: may_be_traced.append(step))
        loop.train_and_evaluate(config, tmp_path / 'whole')
    assert may_be_traced == [*range(2, 10)]
    assert 'from step 6 on norms standardize by their running averages' in capsys.readouterr().out
    at = {
        step: trained_model.load(tmp_path / 'whole', step, lambda config: config, parallel.make_mesh()).variables
        for step in ('4', '6', '9')
    }
    statistics, params = ([jax.tree.leaves(at[step][part]) for step in at] for part in ('batch_stats', 'params'))
    assert all(np.any(a != b) for a, b in zip(*statistics[:2], strict=True))
    jax.tree.map(np.testing.assert_array_equal, *statistics[1:])
    assert all(np.any(a != b) for a, b in zip(*params[1:], strict=True))

    stopped_after(8, config, tmp_path / 'stopped', monkeypatch)
    loop.train_and_evaluate(config, tmp_path / 'stopped')
    assert_same_end(tmp_path / 'whole', tmp_path / 'stopped')


def test_norms_without_running_statistics_have_none_to_freeze(config):
    config.model.norms, config.model.norm.groups, config.train.statistics_until = 'group', 2, 0.5
    with pytest.raises(ValueError, match=r"config.train.statistics_until=0.5 is for running .* 'group' keep none"):
        setup.prepare(config)


def stopped_after(step, config, workdir, monkeypatch):
    """Trains until the checkpoint of that step."""
    save = loop.Checkpoints.save

    def save_and_stop(self, state, *rest):
        save(self, state, *rest)
        if state.step == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop.Checkpoints, 'save', save_and_stop)
        loop.train_and_evaluate(config, workdir)


def assert_same_end(workdir, other):
    """The same state and logits to the bit, and the same lines but for their pace."""
    assert kills.digest(workdir) == kills.digest(other)
    logits = [np.load(folder / 'test' / 'predictions.npz')['logits'] for folder in (workdir, other)]
    np.testing.assert_array_equal(*logits)
    assert kills.lines(workdir) == kills.lines(other)


@pytest.mark.parametrize(
    'moment', [pytest.param('the batch of step 6', marks=pytest.mark.every), 'a batch to score of validation']
)
def test_asked_to_stop_it_saves_and_goes_on_to_the_same_end(finished, config, tmp_path, monkeypatch, moment):
    """Also between two reports, and while it validates after step 6, which the continued run then does."""
    wait_for = Guards.wait_for

    def stop_at(self, what):
        if what == moment:
            raise Stopped('stopped as asked', 143)
        wait_for(self, what)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(Guards, 'wait_for', stop_at)
        loop.train_and_evaluate(config, tmp_path)
    assert (tmp_path / 'checkpoints' / ('5' if 'step' in moment else '6')).is_dir()
    assert loop.train_and_evaluate(config, tmp_path) == finished[1]
    assert_same_end(finished[0], tmp_path)


def test_a_finished_run_is_scored_again_and_no_more(finished, config, capsys):
    assert loop.train_and_evaluate(config, finished[0]) == finished[1]
    assert 'this training is finished, step 9 of 9' in capsys.readouterr().out


def test_views_and_other_data_in_evaluation(finished, tiny_dir, tmp_path):
    def three_views(config):
        config.test.update({'clips': 3, 'short_side': 40, 'crops': 3, 'batch_size': 6})
        return config

    results = evaluate_checkpoint(finished[0], '8', three_views, tmp_path)
    assert results['protocol'] == '4x4 frames, 3x3 views of 32x32, dense sampling, logits averaged (32 videos)'
    assert (results['step'], results['videos']) == (8, 32)


def test_another_data_set_is_scored_by_the_names_of_its_classes(finished, tmp_path):
    """Videos of the test in class folders of their own: the same logits, and the labels that the model has for them."""
    folders = {5: 'shrink', 0: 'move right', 1: 'a class of its own'}
    for index, name in folders.items():
        (tmp_path / 'source/test' / name).mkdir(parents=True)
        (tmp_path / 'source/test' / name / f'{index}.mp4').write_bytes(make_example('test', index)['video'])
    options = ['--source', str(tmp_path / 'source'), '--out', str(tmp_path / 'data'), '--workers', '0']
    assert prepare.main(['videos', '--variant', 'later', *options]) == 0

    def later(config):
        config.data.update({'name': 'videos/later-original', 'dir': str(tmp_path / 'data')})
        return config

    results = evaluate_checkpoint(finished[0], 'last', later, tmp_path / 'out')
    assert results['unknown_classes'] == ['a class of its own'] and len(results['absent_classes']) == 6
    assert (results['coverage']['scored'], results['coverage']['unlabelled']) == (3, 1)
    whole, part = (dict(np.load(folder / 'predictions.npz')) for folder in (finished[0] / 'test', tmp_path / 'out'))
    places = [int(id.rpartition('/')[2]) for id in part['ids']]
    assert part['labels'].tolist() == [{5: 5, 0: 0, 1: -1}[place] for place in places]
    rows = [whole['ids'].tolist().index(f'test-{place:05d}') for place in places]
    np.testing.assert_allclose(part['logits'], whole['logits'][rows], rtol=1e-4, atol=1e-5)


def test_what_was_trained_cannot_change(finished, tmp_path):
    def other_norm(config):
        config.model.norm.stride = 4
        return config

    with pytest.raises(ValueError, match=r'model.norm.stride \(2 there, 4 here\)'):
        evaluate_checkpoint(finished[0], 'last', other_norm, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_change_that_is_allowed(finished, config, tmp_path):
    workdir = shutil.copytree(finished[0], tmp_path / 'run')
    config.schedule.learning_rate = 0.2
    loop.train_and_evaluate(config, workdir, allow_change=['schedule.learning_rate'])
    assert json.loads((workdir / 'config.json').read_text())['schedule']['learning_rate'] == 0.2


@pytest.mark.parametrize(
    ('section', 'change'),
    [('train', {'ema_decay': 0.5}), ('optimizer', {'frozen': ('stem',)}), ('model', {'width': 8})],
)
def test_a_change_of_what_the_state_is_made_of(finished, config, tmp_path, section, change):
    workdir = shutil.copytree(finished[0], tmp_path / 'run')
    before = (workdir / 'config.json').read_text()
    config[section].update(change)
    key = f'{section}.{next(iter(change))}'
    with pytest.raises(ValueError, match=rf'another state.*: {key} \('):
        loop.train_and_evaluate(config, workdir, allow_change=['schedule', key])
    assert (workdir / 'config.json').read_text() == before


def test_a_warm_up_that_keeps_the_rate_low_is_told(config):
    config.schedule.update({'warmup_steps': 2, 'decay': 'constant'})
    assert 'warm-up' not in introduction.introduce(config, setup.prepare(config), 0)
    config.schedule.update({'warmup_steps': 6, 'decay': 'cosine'})
    told = introduction.introduce(config, setup.prepare(config), 0)
    assert 'note: a warm-up of 2.0 of 3 epochs lets the learning rate reach' in told


def test_a_moving_average_that_holds_the_untrained_parameters_is_told(config):
    """0.9^9 = 39 %; ln 0.01 / ln 0.9 = 43.7 steps leave 1 %, and so do 9 of 0.01^(1/9) = 0.599."""
    config.train.ema_decay = 0.9
    told = introduction.introduce(config, setup.prepare(config), 0)
    assert 'after 9 steps the moving average' in told and 'still holds 39% of the untrained' in told
    assert 'ema_decay=0.9 needs 44 steps, 0.599 is for 9' in told
    config.train.ema_decay = 0.59
    assert 'moving average' not in introduction.introduce(config, setup.prepare(config), 0)


def test_what_a_mirror_does_to_classes_is_told(config):
    config.augment.flip = 0.5
    told = introduction.introduce(config, setup.prepare(config), 0)
    assert "50% of the clips are mirrored, which exchanges the classes 'move right / move left'" in told


class Heard(Reporter):
    """A reporter that remembers its lines."""

    def __init__(self):
        self.lines = []

    def line(self, text):
        self.lines.append(text)

    def scalars(self, step, kind, values):
        pass

    def picture(self, step, name, draw):
        pass


class Told(Guards):
    """Guards that remember their words."""

    def wait_for(self, what):
        self.stop.append(what)


def test_steps_whose_shapes_were_checked_are_not_traced_again(config):
    config.run.precise_batches = 2
    made = setup.prepare(config)
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), made.shapes())
    state = jax.device_put(state, parallel.replicated(made.mesh))

    def batch(shape):
        return parallel.place({name: np.zeros(of.shape, of.dtype) for name, of in shape.items()}, made.mesh)

    def refuse(call, arguments, settings, context):
        raise AssertionError('a network is traced')

    with nn.intercept_methods(refuse):
        made.train_step.trace(state, batch(parallel.batch_shapes(training_shape(config))))
        made.observe.trace(state.variables, batch(parallel.batch_shapes(training_shape(config))))
        made.predict['test'].trace(
            state.variables, batch(parallel.batch_shapes(views_shape(config, 'test', made.mesh)))
        )


def test_scoring_compiles_once_while_the_watchdog_rests_and_may_stop_at_every_batch(config, tmp_path, monkeypatch):
    words = []

    def compiled(step, variables, clip_shape, mesh):
        words.append('compile')
        per_group = jax.tree.map(lambda value: jnp.zeros((1, 1, value.shape[-1])), variables['batch_stats'])
        logits = jnp.zeros((*clip_shape[: len(clip_shape) - 4], 8))
        return lambda *_: (logits, per_group) if step is made.observe else logits

    monkeypatch.setattr(parallel, 'compiled', compiled)
    config.run.precise_batches = 2
    made = setup.prepare(config)
    state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), made.shapes())
    guards = Told(words, SimpleNamespace(rest=lambda: words.append('rest')))
    scoring = validation.Scoring(config, made, guards, Heard(), best=-1.0)
    assert scoring.validate(state) == scoring.validate(state)
    line = 'step      0/9  epoch    0.00  validation: loss 2.0794  top-1 0.0%  mean class 12.5%'  # of equal logits
    assert scoring._reporter.lines == [f'{line}  new best', line]
    precise, scored = 'a batch for precise statistics', 'a batch to score of validation'
    expected = ['rest', 'compile', precise, 'rest', 'compile', scored, precise, scored]
    assert [word for word, _ in groupby(words)] == expected
    assert words.count(precise) == 2 * config.run.precise_batches


@pytest.mark.parametrize('self_inclusive', [0, 2])
def test_precise_statistics_score_alike_in_training_and_after(finished, config, tmp_path, self_inclusive):
    config.run.update({'precise_batches': 2, 'self_inclusive': self_inclusive})
    results = loop.train_and_evaluate(config, shutil.copytree(finished[0], tmp_path / 'run'))
    assert results['loss'] != finished[1]['loss']

    def precise(config):
        config.run.update({'precise_batches': 2, 'self_inclusive': self_inclusive})
        return config

    assert evaluate_checkpoint(finished[0], 'last', precise, tmp_path / 'out') == results


def test_all_tools_at_once_train_and_evaluate(config, tmp_path):
    config.train.update({'micro_batches': 2, 'ema_decay': 0.5, 'max_skipped_steps': 1, 'epochs': 1})
    config.regularization.update({'label_smoothing': 0.1, 'mixup': 0.2, 'cutmix': 1.0})
    config.optimizer.update({'groups': (('/bias$', 2.0, 0.0),), 'frozen': ('stem',), 'nesterov': True})
    config.schedule.update({'decay': 'constant', 'warmup_steps': 0})
    config.model.update({'remat': True, 'dtype': 'bfloat16'})
    config.model.norm.update({'statistics_scope': '2', 'frozen_statistics': 'stem'})
    config.run.profile_steps = 1
    results = loop.train_and_evaluate(config, tmp_path / 'run')
    assert evaluate_checkpoint(tmp_path / 'run', 'last', lambda config: config, tmp_path / 'out') == results
    assert list((tmp_path / 'run/profile').rglob('*.xplane.pb'))


def test_a_dry_run_tells_what_it_would_take_and_writes_nothing(config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jax.stages.Lowered, 'cost_analysis', lambda self: None)  # as on GPUs and TPUs
    told = dry_run(config)
    assert 'per statistic; learning rate 0.3; steps 0 to 9, 3 an epoch' in capsys.readouterr().out
    words = ('GFLOPs a clip', 'MB per device', 'MB in a step of test', 'clips/s, model', '9 steps in 0:0')
    assert all(word in told for word in (*words, 'learning rate  0.003 at step 0')), told
    assert not list(tmp_path.iterdir())


def test_a_dead_loader_process_ends_the_run(config, tmp_path, monkeypatch):
    config.run.workers = 1
    config.train.epochs = 1000
    step = loop.Training._step

    def kill_the_loader(self, number, *rest):
        if number == 3:
            for child in multiprocessing.active_children():
                child.kill()
        step(self, number, *rest)

    monkeypatch.setattr(loop.Training, '_step', kill_the_loader)
    with pytest.raises(LoaderError, match='A loader process has died'):
        loop.train_and_evaluate(config, tmp_path)


def test_a_work_folder_of_another_config(finished, config):
    config.schedule.learning_rate = 0.2
    before = (finished[0] / 'config.json').read_text()
    with pytest.raises(ValueError, match=r'another config.*schedule.learning_rate \(0.3 there, 0.2 here\)'):
        loop.train_and_evaluate(config, finished[0])
    assert (finished[0] / 'config.json').read_text() == before


def test_hosts_that_see_other_checkpoints_end(finished, config, monkeypatch):
    """A disk of the network may show one of them late: one host would go on from step 8, another from step 9."""

    def hear(of_run):
        if 'step of the newest checkpoint' in of_run:
            raise ValueError(str(of_run))

    monkeypatch.setattr(loop, 'expect_alike', hear)
    with pytest.raises(ValueError, match="{'step of the newest checkpoint': 9}"):
        loop.train_and_evaluate(config, finished[0])


def test_files_of_ones_own_in_the_folder_for_results_are_refused_before_the_training(config, tmp_path):
    """Which replaces all that is in it at its end."""
    (tmp_path / 'test').mkdir()
    (tmp_path / 'test/notes.txt').write_text('mine')
    with pytest.raises(ValueError, match='found notes.txt'):
        loop.train_and_evaluate(config, tmp_path)
    assert [path.name for path in tmp_path.rglob('*')] == ['test', 'notes.txt']


@pytest.mark.parametrize('left', ['test-step=2', 'watched', 'study'])
def test_what_is_said_of_another_training_is_not_taken_for_this_one(config, tmp_path, left):
    """Where someone has taken the checkpoints away: a watch would tell the scores of the same steps of before."""
    (tmp_path / left).mkdir()
    with pytest.raises(ValueError, match=f'with what is said of others: {left}. Give another --workdir'):
        loop.train_and_evaluate(config, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [left]


def test_files_that_came_there_meanwhile_stay(config, tmp_path, monkeypatch):
    monkeypatch.setattr(validation.Scoring, '_predictions', lambda *_: None)
    monkeypatch.setattr(validation, 'write', never)
    made = setup.prepare(config)
    guards = Told([], SimpleNamespace(rest=lambda: None))
    (tmp_path / 'test').mkdir()
    (tmp_path / 'test/notes.txt').write_text('mine')
    with pytest.raises(ValueError, match='found notes.txt'):
        validation.Scoring(config, made, guards, Heard(), best=-1.0).test(made.fresh(0), tmp_path / 'test')


def test_a_work_folder_in_use(finished, config):
    before = (finished[0] / 'metrics.jsonl').read_text()
    with ownership.kept(finished[0] / '.lock', 'it'):
        with pytest.raises(ValueError, match=f'The work folder {finished[0]} is in use by process'):
            loop.train_and_evaluate(config, finished[0])
    assert (finished[0] / 'metrics.jsonl').read_text() == before


def never(*_, **__):
    raise AssertionError('this comes too late')


def test_a_folder_for_results_in_use_is_refused_before_anything_is_scored(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_score, 'evaluate', never)
    with kept_for_results(tmp_path / 'out'):
        with pytest.raises(ValueError, match=f'The folder {tmp_path / "out"} for results is in use by process'):
            evaluate_checkpoint(finished[0], 'last', lambda config: config, tmp_path / 'out')


def segments_with_three_clips(config):
    config.clip.sampling, config.test.clips = 'segments', 3


def one_clip_to_mix(config):
    config.train.batch_size, config.train.micro_batches, config.regularization.mixup = 8, 4, 0.2


def sets_of_three(config):
    config.run.update({'precise_batches': 1, 'self_inclusive': 3})


def sets_of_renormalized_norms(config):
    config.model.norms = 'batch,batch_renormalized'
    config.run.update({'precise_batches': 1, 'self_inclusive': 2})


def precise_statistics_of_none(config):
    config.model.norms, config.run.precise_batches = 'group', 1


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda config: config.clip.update({'frames': 5}), 'stride 2 for T = 5 frames; strides that fit: 1, 5'),
        (lambda config: config.train.update({'batch_size': 3}), 'train.batch_size.*multiple of 2, got 3'),
        (lambda config: config.model.update({'backbone': 'resnet81'}), "'resnet81'.*Did you mean 'resnet18'"),
        (lambda config: config.model.update({'norms': 'drn'}), "'drn'.*Did you mean 'dnr'"),
        (lambda config: config.model.norm.update({'frozen_statistics': 'stme'}), "'stme'.*fits no norm.*norm_stem"),
        (
            lambda config: config.optimizer.update({'frozen': ('stme',)}),
            "'stme' of config.optimizer.*fits no parameter",
        ),
        (lambda config: config.model.norm.update({'statistics_scope': '5'}), 'divides the 16 of a device'),
        (lambda config: config.train.update({'micro_batches': 3}), 'micro_batches divides the 16 clips of a device'),
        (lambda config: config.schedule.update({'decay': 'cosin'}), "Did you mean 'cosine'"),
        (lambda config: config.schedule.update({'warmup_steps': 9}), 'fewer than the 9 of the training, got 9'),
        (lambda config: config.run.update({'keep': 1}), 'run.keep: expected a whole number, 2 or more, got 1'),
        (lambda config: config.run.update({'log_every_steps': -1}), 'log_every_steps: expected .*, 0 or more, got -1'),
        (lambda config: config.augment.update({'crop': 'multi_scal'}), "Did you mean 'multi_scale'"),
        (
            lambda config: config.augment.update({'flip': 1.5}),
            r'config.augment.flip: expected a number in \[0, 1\], got 1.5',
        ),
        (lambda config: config.clip.update({'sampling': 'dens'}), "Did you mean 'dense'"),
        (segments_with_three_clips, "'segments' has 1 or 2 clips of a video, got 3"),
        (
            lambda config: config.validation.update({'crops': 4}),
            'config.validation.crops: expected 1, 3, 5 or 10, got 4',
        ),
        (lambda config: config.test.update({'size': 37}), 'config.test.size.*1 to 36, got 37'),
        (one_clip_to_mix, 'expected 2 or more, got 1.*config.train.batch_size'),
        (precise_statistics_of_none, 'Expected a model with running statistics'),
        (sets_of_three, 'self_inclusive.*divides config.train.batch_size = 32, got 3'),
        (
            sets_of_renormalized_norms,
            "self_inclusive.*expected 0 for the norm 'batch_renormalized'.*got 2; leave it out",
        ),
        (lambda config: config.run.update({'self_inclusive': 2}), 'takes statistics .*run.precise_batches=32'),
        (lambda config: config.data.update({'name': 'moving_shape'}), "Did you mean 'moving_shapes'"),
        (lambda config: config.data.update({'dir': 'nowhere'}), 'dnr_jax.data.prepare moving_shapes'),
        (lambda config: config.test.update({'split': 'tset'}), 'tset'),
    ],
)
def test_mistakes_are_refused_before_anything_is_written(config, tmp_path, change, message):
    change(config)
    with pytest.raises(ValueError, match=message):
        loop.train_and_evaluate(config, tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_a_truncated_video_stops_with_its_name(config, tmp_path, monkeypatch):
    read = VideoSource.__getitem__
    cut = lambda self, index: read(self, index) | {'video': read(self, index)['video'][:900]}  # noqa: E731
    monkeypatch.setattr(VideoSource, '__getitem__', cut)
    with pytest.raises(VideoError, match=r"'train-\d+'"):
        loop.train_and_evaluate(config, tmp_path)


def test_a_loss_that_is_not_finite_stops(config, tmp_path):
    config.pixels.std = (1e-38, 1.0, 1.0)  # red is infinite
    with pytest.raises(FloatingPointError, match='at step 1'):
        loop.train_and_evaluate(config, tmp_path)
    assert not [path for path in (tmp_path / 'checkpoints').iterdir() if path.name.isdigit()]


def test_due():
    assert [step for step in range(1, 11) if loop.due(step, 4, 10)] == [4, 8, 10]
    assert [step for step in range(1, 11) if loop.due(step, 0, 10)] == [10]
    assert [step for step in range(1, 4) if loop.due(step, 10, 3)] == [3]
