"""What a training would take on accelerators that are not here, by made-up answers in the place of their compilers'."""

import jax
import pytest

from configs import moving_shapes
from dnr_jax import parallel
from dnr_jax.ahead_of_time import compilation, estimates, topologies
from dnr_jax.ahead_of_time.compilation import Answer, ask, used
from dnr_jax.ahead_of_time.hlo import Program
from dnr_jax.ahead_of_time.largest import FARTHEST, largest, reached

HBM = (
    'RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO temporaries (20.50G) exceeds '
    'available HBM (15.75G).'
)


def instruction(name, shape, operation, path, cycles):
    return (
        f'  %{name} = {shape} {operation}(%p), metadata={{op_name="jit(train_step)/shard_map/{path}"}}, '
        f'backend_config={{"estimated_cycles":"{cycles}"}}'
    )


PROGRAM = Program('\n'.join([
    'HloModule made_up', '', 'ENTRY %main {',
    '  %p = f32[4]{0} parameter(0)',
    instruction('a', 'f32[4]{0}', 'fusion', 'jvp(ResNet)/stage1/block1/conv1/conv_general_dilated', 500_000),
    instruction('b', 'f32[4]{0}', 'fusion', 'transpose(jvp(ResNet))/stage1/block1/norm1/transform/relay/mul', 100_000),
    instruction('c', 'f32[4]{0}', 'fusion', 'transpose(jvp(ResNet))/stage1/block1/norm1/mul', 200_000),
    instruction('d', 'f32[4]{0}', 'fusion', 'add', 150_000),
    instruction('e', 'f32[4]{0}', 'fusion', 'jvp(ResNet)/stage1/block1/add', 50_000),
    instruction('f', 'f32[4]{0}', 'fusion', 'jvp(ResNet)/stage1/block1/norm1/mul', 2**63 - 1),  # not known
    '  %g = (f32[1000000]{0}, f32[]) all-reduce-start(%a, %b), channel_id=1',
    '  %h = f32[1000000]{0} all-reduce-done(%g)',
    '  %i = f32[] all-reduce(%a), channel_id=2',
    '}',
]))  # fmt: skip


@pytest.fixture
def config():
    config = moving_shapes.get_config('resnet18,dnr')
    config.model.width, config.clip.frames, config.augment.size = 4, 2, 32
    config.validation.size = config.test.size = 32
    return config


def answer(peak, refusal=''):
    return Answer(None if refusal else PROGRAM, peak, 65.0, refusal)


def test_cycles_by_part():
    line = 'cycles     1.00 M in a training step, estimated: relay 10.0%, norms 20.0%, convolutions 50.0%, '
    assert estimates.cycles_line(PROGRAM) == line + 'optimizer 15.0%, the rest 5.0%'
    without = Program('\nENTRY %main {\n  %p = f32[4]{0} parameter(0)\n}')
    assert estimates.cycles_line(without) == 'cycles     this compiler estimates none; those of TPUs do'


def test_what_devices_exchange():
    assert estimates.exchange_line(PROGRAM) == 'exchange   2 a step (all-reduce), 4.00 MB'


def test_whether_it_compiles_and_fits():
    assert estimates.compiles_line('training', answer(1)) == 'compiles   training step in 1:05'
    assert (
        estimates.compiles_line('test', answer(None, 'INTERNAL: no')) == 'compiles   test step does not: INTERNAL: no'
    )
    assert estimates.compiles_line('test', answer(used(HBM), HBM)) == 'compiles   test step in 1:05'

    def line(trained, tested, usable=16_000_000_000):
        return estimates.fits_line({'training': trained, 'test': tested}, 16_000_000_000, usable)

    small, large = answer(4_880_000_000), answer(used(HBM), HBM)
    assert line(small, small) == (
        'memory     fits: 4,880 MB in a training step, 4,880 MB in a test step; a device has 16,000 MB'
    )
    assert line(large, small).startswith('memory     does not fit: 22,012 MB in a training step')  # 20.5 GiB
    assert line(small, small, 4_000_000_000).startswith('memory     does not fit')
    assert line(small, small, 8_000_000_000).endswith('50% of it for JAX, by XLA_PYTHON_CLIENT_MEM_FRACTION')
    assert 'does not fit: unknown in a training step' in line(answer(None, 'INTERNAL: no'), small)


def test_against_batch_norm():
    plain = answer(400)._replace(program=Program(PROGRAM.text.replace('"500000"', '"300000"')))
    assert estimates.against_line(answer(500), plain) == (
        'against    1.250 times the cycles and 1.250 times the memory of the step with batch norm'
    )
    assert estimates.against_line(answer(500), answer(None, HBM)).endswith(f'no program: {HBM}')


def test_the_memory_that_jax_takes(monkeypatch):
    monkeypatch.delenv('XLA_PYTHON_CLIENT_MEM_FRACTION', raising=False)
    tpu, gpu = (topologies.Topology('', platform, (), 1000) for platform in ('tpu', 'cuda'))
    assert (estimates.usable(tpu), estimates.usable(gpu)) == (1000, 750)
    monkeypatch.setenv('XLA_PYTHON_CLIENT_MEM_FRACTION', '0.9')
    assert (estimates.usable(tpu), estimates.usable(gpu)) == (1000, 900)


def test_a_refusal_is_an_answer_and_a_mistake_is_none():
    def refuse():
        raise jax.errors.JaxRuntimeError(f'{HBM}\nTotal hbm usage >= ...')

    found = ask(refuse)
    assert found.program is None and found.out_of_memory and found.refusal == HBM and found.peak == int(20.5 * 2**30)

    def mistake():
        raise ValueError('of the user')

    with pytest.raises(ValueError, match='of the user'):
        ask(mistake)


def test_a_program_of_this_machine(config):
    mesh = parallel.make_mesh()
    config.model.norms = 'none'
    compiled = compilation.test_step(config, mesh, classes=5)
    found = ask(lambda: compiled)
    memory = compiled.memory_analysis()
    assert memory.temp_size_in_bytes > 0 and not found.refusal and found.program.kernels
    assert found.peak == (
        memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    )  # the variables are kept


def test_how_compilers_say_what_did_not_fit():
    assert used('RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 20.50G of 15.75G hbm.') == used(HBM)
    assert used('RESOURCE_EXHAUSTED: Ran out of memory trying to allocate 512M bytes') == 512 * 2**20
    assert used('RESOURCE_EXHAUSTED: no') is None


def tried(memory, first, peak_of, told=True):
    """The largest, and the numbers that were tried."""
    numbers = []

    def measure(number):
        numbers.append(number)
        peak = peak_of(number)
        return peak <= memory, peak if told else None

    return largest(measure, memory, first), numbers


def test_a_straight_line_takes_four_tries():
    assert tried(1000, 8, lambda n: 100 + 20 * n) == (45, [8, 16, 45, 46])


def test_untold_peaks_are_bisected_between_powers_of_two():
    assert tried(1000, 8, lambda n: 100 + 20 * n, told=False) == (45, [8, 16, 32, 64, 48, 40, 44, 46, 45])
    assert tried(1000, 8, lambda n: 300 * n, told=False) == (3, [8, 4, 2, 3])
    assert tried(1000, 8, lambda n: 2000, told=False) == (0, [8, 4, 2, 1])


@pytest.mark.parametrize('power', [0.5, 2.0])
def test_a_bent_line_leads_astray_and_is_come_back_from(power):
    """The guesses come too short where memory grows slower and slower, and too far where it grows faster."""
    found, numbers = tried(200, 8, lambda n: int(100 + n**power))
    assert found == {0.5: 10_200, 2.0: 10}[power]
    assert len(numbers) == len(set(numbers)) < 48  # twice those of plain bisection


def test_guesses():
    assert reached({4: 180, 8: 260}, memory=1000) == 45
    assert reached({4: 180}, 1000) is None and reached({4: 180, 8: 180}, 1000) is None
    _, numbers = tried(10**9, 1, lambda n: 10**6 + n)
    assert numbers[:3] == [1, 2, 2 * FARTHEST]


def test_the_most_clips_are_whole_sets_and_known_answers_are_not_asked_again(config, monkeypatch, capsys):
    config.train.batch_size, config.model.norm.statistics_scope, config.train.micro_batches = 16, '2', 2
    mesh = parallel.make_mesh()
    monkeypatch.setattr(estimates, 'train_step', lambda config, mesh, classes: config.train.batch_size)
    monkeypatch.setattr(estimates, 'ask', lambda compile: answer(10 * compile()))
    assert estimates.largest_line(config, mesh, 5, 500, answer(160)) == 'largest    24 clips per device, 48 a step'
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told] == ['8', '16', '24', '28']
    assert estimates.largest_line(config, mesh, 5, 1, answer(160)) == 'largest    none fits'


def test_classes_come_from_data_or_a_flag(config, tiny_dir, tmp_path):
    config.data.dir = str(tmp_path)
    with pytest.raises(ValueError, match=r'No prepared data set moving_shapes.* --classes=NUMBER'):
        estimates.of_data(config, None)
    assert estimates.of_data(config, 400) == (400, None)
    config.data.dir, config.data.name = str(tiny_dir), 'moving_shapes/tiny'
    with pytest.raises(ValueError, match='warmup_steps: expected fewer than the'):
        estimates.of_data(config, None)
    config.schedule.warmup_steps = 0
    assert estimates.of_data(config, None) == estimates.of_data(config, 8)
    assert estimates.of_data(config, None)[0] == 8 and estimates.of_data(config, None)[1] > 1
    with pytest.raises(ValueError, match='has 8, got 400'):
        estimates.of_data(config, 400)


@pytest.fixture
def here(monkeypatch):
    """The devices of this machine under the name of others; compilers answer at once."""
    here = topologies.Topology('here', 'tpu', jax.devices(), 2 * 10**9)
    monkeypatch.setattr(topologies, 'describe', lambda name: here)
    monkeypatch.setattr(estimates, 'ask', lambda compile: answer(10**9))


def test_all_lines_without_data(config, here, tmp_path):
    config.data.dir = str(tmp_path)
    lines = list(estimates.estimate(config, 'here', 5, largest_batch=False))
    words = [
        'estimates',
        'network',
        'devices',
        'note:',
        'compiles',
        'compiles',
        'memory',
        'exchange',
        'cycles',
        'against',
    ]
    assert [line.split()[0] for line in lines] == words
    assert 'not known without data' in lines[2] and '16 clips a step, 8 per device, 8 per statistic' in lines[2]


def test_what_does_not_fit_together_is_refused_before_anything_is_compiled(config, here, monkeypatch):
    monkeypatch.setattr(estimates, 'ask', None)
    config.train.batch_size = 15
    with pytest.raises(ValueError, match='expected a multiple of 2, got 15'):
        list(estimates.estimate(config, 'here', 5, largest_batch=False))


@pytest.mark.parametrize(
    ('name', 'told'),
    [
        ('v5e:16', "Expected accelerators as v5e:2x2, got 'v5e:16'"),
        ('h100:0', "Expected accelerators as h100:8, got 'h100:0'"),
        ('h101:8', "Unknown accelerator 'h101'"),
    ],
)
def test_names_of_accelerators(name, told):
    with pytest.raises(ValueError, match=told):
        topologies.describe(name)


@pytest.mark.parametrize(
    ('name', 'remedy'), [('v5e:2x2', r'"jax\[tpu\]=='), ('h100:1', '--no-deps jax-cuda13-plugin==')]
)
def test_a_missing_compiler_is_one_line(name, remedy, monkeypatch):
    monkeypatch.setattr(topologies, '_installed', lambda package: False)
    with pytest.raises(ValueError, match=f'not installed .*: pip install {remedy}'):
        topologies.describe(name)
