"""Paths as users give them: no local folder is made of a URL, whatever takes one."""

import ast
from pathlib import Path

import pytest

import dnr_jax
from dnr_jax.compare import __main__ as compare
from dnr_jax.data import check, prepare
from dnr_jax.files import absolute, as_path, expect_local, is_remote, listed, make_folder, removed

PACKAGE = Path(dnr_jax.__file__).parent


@pytest.mark.parametrize('given', ['', 'runs/dnr', '/runs', '~/runs', './gs:/a', 'a:b', Path('runs')])
def test_local_paths_are_as_they_were(given):
    assert as_path(given) == Path(given) and type(as_path(given)) is type(Path())
    assert not is_remote(as_path(given)) and absolute(as_path(given)) == Path(given).absolute()


@pytest.mark.parametrize('given', ['hdfs://a/b', 'file:///a', 'gs:/bucket', Path('gs://bucket/a'), 'gs://', 's3:///'])
def test_what_is_no_path_is_told_in_a_line(given):
    with pytest.raises(ValueError, match=r"^Expected a local path, or gs://BUCKET/.*, got '[^\n]*$"):
        as_path(given)


@pytest.mark.parametrize(('url', 'package'), [('gs://a/b', 'gcsfs'), ('s3://a/b', 's3fs')])
def test_a_package_that_is_missing_is_named(url, package, monkeypatch):
    monkeypatch.setattr('dnr_jax.files.paths.find_spec', lambda name: None)
    with pytest.raises(ValueError, match=rf"'{url}' takes {package}, .*: pip install {package}$"):
        as_path(url)


def test_a_url_is_a_path_of_its_own(bucket):
    run = as_path('gs://bucket/runs/dnr')
    assert is_remote(run) and as_path(run) is run and str(run / 'a' / 'b') == 'gs://bucket/runs/dnr/a/b'
    assert absolute(run) == run and run.name == 'dnr' and str(run.parent) == 'gs://bucket/runs'
    with pytest.raises(ValueError, match='^--x is on a disk of this machine: expected a local path, got'):
        expect_local('gs://bucket/a', '--x')


def test_folders_of_a_bucket_are_named_and_not_made(bucket, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (bucket / 'a' / 'b', Path('a/b')):
        make_folder(folder)
        removed(folder / 'nothing')
        assert listed(folder) == {}
    assert [path.as_posix() for path in Path().rglob('*')] == ['a', 'a/b']


@pytest.mark.parametrize(
    ('main', 'arguments'),
    [
        (prepare.main, ['moving_shapes', '--out=hdfs://a/b']),
        (prepare.main, ['videos', '--variant=v', '--source=hdfs://a/b']),
        (prepare.main, ['videos', '--variant=v', '--source=.', '--annotations=hdfs://a/b']),
        (prepare.main, ['videos', '--variant=v', '--source=.', '--list=train=hdfs://a/b']),
        (prepare.main, ['videos', '--variant=v', '--source=.', '--list=train=a', '--labels=hdfs://a/b']),
        (check.main, ['moving_shapes', '--out=hdfs://a/b']),
        (check.main, ['moving_shapes', '--failures=hdfs://a/b']),
        (compare.main, ['hdfs://a/b', 'b']),
        (compare.main, ['a', 'b', '--out=hdfs://a/b']),
    ],
)
def test_every_option_of_a_path_is_refused_in_a_line(main, arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert 'Expected a local path, or gs://' in told and 'hdfs://a/b' in told and told.count('\n') == 1
    assert not list(tmp_path.iterdir())


ALLOWED = {  # what makes a local path of something else than text of a user, with its reason
    'command/arguments.py': 'the place of the package, of a config file',
    'command/ending.py': 'the name of this command',
    'command/faults.py': 'the place of the package, of what has raised an error',
    'command/terminal.py': 'the name of this command',
    'command/compiled.py': 'a cache folder of this user',
    'data/annotations/clips.py': 'what a listing of a local folder found',
    'data/annotations/hmdb51.py': 'names within lists',
    'data/annotations/reading.py': 'names of files',
    'data/annotations/rows.py': 'where links lead',
    'data/annotations/ucf101.py': 'names within lists',
    'data/cache.py': 'a cache folder of this user',
    'data/far.py': 'names within a folder',
    'data/workers.py': 'the program that is run',
    'export/alone.py': 'stands alone, without the package',
    'export/check.py': 'a temporary folder',
    'runs/identity.py': 'the sources of the package',
}


def test_all_paths_of_users_come_through_one_door():
    making = set()
    for path in PACKAGE.rglob('*.py'):
        place = path.relative_to(PACKAGE).as_posix()
        calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        types = (
            word.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
            for word in node.keywords
            if word.arg == 'type'
        )
        if not place.startswith('files/') and {'Path', 'pathlib.Path'} & set(map(ast.unparse, (*calls, *types))):
            making.add(place)
    assert making == set(ALLOWED)
