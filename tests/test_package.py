"""What `pip install .` brings: an importable package with its configs, and every command under a name of its own."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

import dnr_jax
from dnr_jax import __main__ as listing
from dnr_jax import command
from dnr_jax.command import arguments
from dnr_jax.data.builders.shapes import make_example

ROOT = Path(__file__).parents[1]
BUILT_FROM = ('pyproject.toml', 'README.md', 'LICENSE', 'requirements.txt')
SMALL = (
    '--config=configs/moving_shapes.py:resnet18,batch', '--config.data.name=moving_shapes/tiny',
    '--config.data.dir=data', '--config.model.width=2', '--config.model.norm.groups=2', '--config.train.epochs=1',
    '--config.schedule.warmup_steps=1', '--config.run.workers=1',
)  # fmt: skip

ABOUT = """
import importlib.metadata, pathlib
import dnr_jax, configs.base
folder = pathlib.Path(dnr_jax.__file__).parent
print(folder, (folder / 'py.typed').exists(), importlib.metadata.version('dnr_jax'), configs.base.__file__)
"""
ASK = """
import dnr_jax
model = dnr_jax.load('run')
print(len(model.predict('clip.mp4')), model.features('clip.mp4').shape)
"""


def test_every_command_has_its_script():
    scripts = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['scripts']
    assert scripts.keys() == {f'dnr-{name}' for name in listing.COMMANDS}
    for name, of in listing.COMMANDS.items():
        module, _, function = scripts[f'dnr-{name}'].partition(':')
        assert module.removesuffix('.__main__') == of.module and function == 'run'


def test_every_command_is_listed(capsys):
    """All modules that can be run, but this list, a table for a page, and what runs exported files."""
    listing.main()
    listed = capsys.readouterr().out
    can_be_run = {
        '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__main__')
        for path in Path(dnr_jax.__file__).parent.rglob('*.py')
        if "\nif __name__ == '__main__':" in path.read_text()
    }
    assert {of.module for of in listing.COMMANDS.values()} == can_be_run - {
        'dnr_jax',
        'dnr_jax.models',
        'dnr_jax.export.alone',
    }
    for name, of in listing.COMMANDS.items():
        assert any(f'dnr-{name} ' in line and of.module in line and of.does in line for line in listed.splitlines())
        assert importlib.util.find_spec(of.module)


@pytest.mark.parametrize('flag', ['--config=', '-config=', ''])
def test_configs_are_found_from_every_folder(tmp_path, monkeypatch, flag):
    monkeypatch.chdir(tmp_path)
    beside = ROOT / 'configs/hmdb51.py'
    assert command.beside('configs/hmdb51.py') == beside
    assert arguments.located(f'{flag}configs/hmdb51.py:resnet50,dnr') == f'{flag}{beside}:resnet50,dnr'
    assert arguments.located(f'{flag}configs/hmdb51.py') == f'{flag}{beside}'
    assert arguments.located(f'{flag}configs/mine.py:resnet50') == f'{flag}configs/mine.py:resnet50'
    (tmp_path / 'configs').mkdir()
    (tmp_path / 'configs/hmdb51.py').touch()  # what is there is meant
    assert arguments.located(f'{flag}configs/hmdb51.py') == f'{flag}configs/hmdb51.py'


@pytest.mark.parametrize('argument', ['--workdir=configs/hmdb51.py', 'configs/hmdb51.py', '--config.seed=1'])
def test_other_arguments_stay(tmp_path, monkeypatch, argument):
    monkeypatch.chdir(tmp_path)
    assert arguments.located(argument, before='--workdir') == argument


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """A function that runs a program of an environment with the wheel, in a folder with data and a video."""
    folder = tmp_path_factory.mktemp('installed')
    source = folder / 'source'
    for name in ('dnr_jax', 'configs'):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '--quiet']
    subprocess.run([*pip, 'wheel', source, '--no-deps', '--wheel-dir', folder], check=True)
    venv.create(folder / 'venv', symlinks=True)
    python, (wheel,) = folder / 'venv/bin/python', folder.glob('*.whl')
    subprocess.run([*pip, '--python', python, 'install', '--no-deps', wheel], check=True)
    paths = subprocess.run(
        [python, '-c', "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True
    )
    # What it depends on is here already.
    (Path(paths.stdout.decode().strip()) / 'here.pth').write_text(sysconfig.get_path('purelib'))
    elsewhere = folder / 'elsewhere'
    elsewhere.mkdir()
    (elsewhere / 'clip.mp4').write_bytes(make_example('test', 0)['video'])
    env = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'} | {'XLA_FLAGS': ''}

    def run(program, *arguments):
        words = [folder / 'venv/bin' / program, *arguments]
        ran = subprocess.run(words, cwd=elsewhere, env=env, capture_output=True, text=True, timeout=900)
        assert ran.returncode == 0, f'{words}\n{ran.stdout}\n{ran.stderr}'
        return ran.stdout

    return run


@pytest.mark.every
def test_the_wheel_is_whole(installed):
    said = installed('python', '-c', ABOUT).split()
    assert 'site-packages' in said[0] and 'site-packages' in said[3]
    assert said[1:3] == ['True', dnr_jax.__version__]
    assert installed('python', '-m', 'dnr_jax').count('dnr-') == len(listing.COMMANDS)


@pytest.mark.every
@pytest.mark.parametrize('name', listing.COMMANDS)
def test_every_script_helps(installed, name):
    assert len(installed(f'dnr-{name}', '--help').splitlines()) > 5


@pytest.mark.every
def test_the_scripts_do_what_they_say(installed):
    installed('dnr-prepare', 'moving_shapes', '--variant', 'tiny', '--out', 'data')
    installed('dnr-train', *SMALL, '--workdir=run')
    assert 'top-1' in installed('dnr-eval', '--workdir=run')
    assert 'clip.mp4' in installed('dnr-predict', '--workdir=run', 'clip.mp4')
    assert installed('python', '-c', ASK).split() == ['8', '(16,)']


def test_a_container_is_made_of_what_is_there():
    """Its files, its targets of make, and the environment that those make."""
    dockerfile, makefile = ((ROOT / name).read_text() for name in ('Dockerfile', 'Makefile'))
    copied = re.search(r'^COPY (.*) \./$', dockerfile, re.MULTILINE)[1].split()
    assert {'Makefile', 'requirements.txt'} == set(copied) and all((ROOT / name).is_file() for name in copied)
    assert 'RUN make .venv/installed' in dockerfile and '%/installed: requirements.txt' in makefile
    assert 'CMD ["make", "demo"]' in dockerfile and re.search('^demo:', makefile, re.MULTILINE)
    ignored = set((ROOT / '.dockerignore').read_text().split())
    assert {'.git', '.venv*', 'runs'} <= ignored and not ignored & {'dnr_jax', 'configs', 'Makefile'}
