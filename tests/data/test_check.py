import csv
import shutil

import pytest
from data.test_prepare import arguments, kinetics, prepared  # noqa: F401  (fixtures)
from joined_videos import join

from dnr_jax.data import check, prepare, storage
from dnr_jax.data.video import groups


def test_a_folder_before_preparing(kinetics, tmp_path, capsys):  # noqa: F811
    failures = tmp_path / 'failures.csv'
    assert check.main(arguments(kinetics[0], tmp_path / 'out', '--failures', str(failures), '--workers', '0')) == 1
    with failures.open(newline='') as file:
        found = {(row['split'], row['id']): row['reason'] for row in csv.DictReader(file)}
    assert found == kinetics[1].faults
    assert '408 rows = 400 records + 8 rejected' in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ['failures.csv']


@pytest.mark.parametrize('what', ['source', 'prepared'])
def test_groups_of_pictures_are_read_by_themselves(what, tmp_path, monkeypatch, capsys):
    for label in ('a', 'b'):
        (tmp_path / 'source' / label).mkdir(parents=True)
        (tmp_path / 'source' / label / 'video.mp4').write_bytes(join('libx264', told='once'))
    options = ['--out', str(tmp_path / 'out'), '--workers', '0']
    source = ['videos', '--variant', 'joined', '--source', str(tmp_path / 'source'), *options]
    if what == 'prepared':
        assert prepare.main(source) == 0
    arguments = [*(source if what == 'source' else ['videos/joined-original', *options]), '--failures']
    arguments.append(str(tmp_path / 'failures.csv'))
    assert check.main(arguments) == 0
    monkeypatch.setattr(groups, '_know_all', lambda packets, stream: [True] * len(packets))
    assert check.main(arguments) == 1
    assert 'another one when its group of pictures is decoded by itself' in capsys.readouterr().out


def test_a_prepared_set(tiny_dir, capsys, tmp_path):
    failures = str(tmp_path / 'failures.csv')
    for workers in ('0', '2'):
        options = ['moving_shapes/tiny', '--out', str(tiny_dir), '--workers', workers, '--failures', failures]
        assert check.main(options) == 0
        assert capsys.readouterr().out.splitlines() == [
            'train              96 records, 0 problems',
            'validation         32 records, 0 problems',
            'test               32 records, 0 problems',
            'Nothing is wrong.',
        ]
    assert not list(tmp_path.iterdir())


@pytest.fixture
def undecoded(monkeypatch):
    """Records are read and not decoded, which takes long."""
    monkeypatch.setattr(storage, 'verify', lambda record, frame_step: None)


def test_a_damaged_record_is_found(undecoded, tiny_dir, tmp_path, capsys):
    shutil.copytree(tiny_dir / 'moving_shapes', tmp_path / 'moving_shapes')
    path = next(tmp_path.rglob('*-validation.array_record-*-of-?????'))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    failures = tmp_path / 'failures.csv'
    options = ['moving_shapes/tiny', '--out', str(tmp_path), '--workers', '0', '--failures', str(failures)]
    assert check.main(options) == 1
    assert 'validation         32 records, 1 problems' in capsys.readouterr().out
    with failures.open(newline='') as file:
        (row,) = csv.DictReader(file)
    assert (row['split'], row['reason']) == ('validation', 'damaged') and path.name in row['detail']


def test_records_of_other_videos_are_found(undecoded, tiny_dir, tmp_path, capsys):
    shutil.copytree(tiny_dir / 'moving_shapes', tmp_path / 'moving_shapes')
    inventory = next(tmp_path.rglob('inventory.json'))
    inventory.write_text(inventory.read_text().replace('"fingerprint": "', '"fingerprint": "0'))
    options = ['moving_shapes/tiny', '--out', str(tmp_path), '--workers', '0', '--failures', str(tmp_path / 'f.csv')]
    assert check.main(options) == 1
    assert 'other videos' in capsys.readouterr().out


@pytest.mark.parametrize(
    'given, message', [(['moving_shape'], 'Unknown data set'), (['ucf101'], 'No prepared data set')]
)
def test_mistakes_end_in_one_line(given, message, tmp_path, capsys):
    assert check.main([*given, '--out', str(tmp_path)]) == 2
    output = capsys.readouterr()
    assert message in output.err and output.err.count('\n') == 1
