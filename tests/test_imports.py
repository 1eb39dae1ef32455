"""The arrows of the house: which wing may enter which, and by which doors, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dnr_jax

PACKAGE = Path(dnr_jax.__file__).parent
ROOT = PACKAGE.parent

# Lower floors first. A wing is a folder, or a file that lies beside them; it imports only from floors below its own.
FLOORS = [
    {'registry', 'files', 'parallel', 'operations'},
    {'command', 'figures', 'norms'},
    {'models', 'data'},
    {'runs', 'streaming'},
    {'evaluation'},
    {'compare', 'statistics_report', 'training'},
    {'ahead_of_time', 'convert', 'export', 'predict', 'study'},
    {'library', '__main__'},
]
FLOOR = {name: level for level, names in enumerate(FLOORS) for name in names}
FILES = 5  # that lie in the package itself

SOURCES = [path for path in PACKAGE.rglob('*.py') if path != PACKAGE / '__init__.py']
OUTSIDE = [
    path for folder in ('benchmarks', 'experiments') for path in (ROOT / folder).rglob('*.py')
] + [ROOT / 'train.py', ROOT / 'eval.py']  # fmt: skip


def imports(path: Path) -> set[str]:
    """All that a file imports, dotted."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: imports are absolute'
            found |= {f'{node.module}.{alias.name}' for alias in node.names}
    return found


def wing(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def entered(path: Path) -> Iterator[tuple[str, str]]:
    """(wing, door) of everything that a file imports of this package, the door '' where it is the wing itself."""
    for module in imports(path):
        parts = module.split('.')
        if parts[0] == 'dnr_jax' and len(parts) > 1:
            yield parts[1], parts[2] if len(parts) > 2 else ''


def public(name: str) -> list[str]:
    """What a wing's `__init__` lists in `__all__`."""
    for node in ast.parse((PACKAGE / name / '__init__.py').read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '__all__':
            return ast.literal_eval(node.value)
    raise AssertionError(f'{name} lists no public names')


WINGS = sorted(path.parent.name for path in PACKAGE.glob('*/__init__.py'))


def test_every_wing_has_its_floor():
    assert {wing(path) for path in SOURCES} == set(FLOOR)
    assert len(list(PACKAGE.glob('*.py'))) <= FILES


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_point_one_way(path):
    """The command of a wing, its `__main__`, stands above all of them."""
    here = wing(path)
    level = len(FLOORS) if path.name == '__main__.py' else FLOOR[here]
    for there, _ in entered(path):
        assert there == here or FLOOR[there] < level, f'{path.relative_to(ROOT)} imports {there}'


def test_wings_are_entered_by_their_doors():
    """From another wing, or from outside of the package, only what a wing calls public is imported, or its command."""
    for path in SOURCES + OUTSIDE:
        for there, door in entered(path):
            if there in WINGS and door and not (path in SOURCES and wing(path) == there):
                assert door in ('__main__', *public(there)), f'{path.relative_to(ROOT)} imports {there}.{door}'


@pytest.mark.parametrize('name', WINGS)
def test_every_wing_says_what_it_is_and_all_its_doors_are_used_or_exist(name):
    source = ast.parse((PACKAGE / name / '__init__.py').read_text())
    assert len(ast.get_docstring(source).splitlines()[0]) <= 120
    names = public(name)
    assert names == sorted(names, key=lambda each: (not each.isupper(), not each[0].isupper(), each))
    bound = {
        alias.asname or alias.name for node in source.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    bound |= {node.name for node in source.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    bound |= {target.id for node in source.body if isinstance(node, ast.Assign) for target in node.targets}
    files = {path.stem for path in (PACKAGE / name).glob('*.py')} | {path.name for path in (PACKAGE / name).glob('*/')}
    assert set(names) <= bound | files


def test_configs_and_tests_stay_outside():
    """But for the door for programs, whose networks begin with the values of configs/base.py."""
    for path in SOURCES:
        outside = {module for module in imports(path) if module.split('.')[0] in ('configs', 'tests')}
        assert outside == ({'configs.base'} if wing(path) == 'library' else set()), path
    for path in (ROOT / 'configs').glob('*.py'):
        assert {module.split('.')[0] for module in imports(path)} <= {'configs', 'ml_collections'}, path


def test_only_one_room_speaks_to_each_library():
    speakers = {
        'orbax': 'runs/stored.py',
        'tensorboardX': 'runs/event_file.py',
        'tqdm': 'command/bars.py',
        'av': 'data/',
        'grain': 'data/',
        'tensorflow_datasets': 'data/',
    }
    for path in SOURCES:
        for library in {module.split('.')[0] for module in imports(path)} & set(speakers):
            place = str(path.relative_to(PACKAGE))
            assert place.startswith(speakers[library]), f'{path.relative_to(ROOT)} imports {library}'


def test_only_parallel_lays_out_devices():
    for path in SOURCES:
        if wing(path) != 'parallel':
            words = {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text()))}
            layout = ('shard_map', 'make_mesh', 'devices', 'local_devices', 'device_put', 'local_device_count')
            assert not words & {f'jax.{name}' for name in (*layout, 'sharding.Mesh')}, path


def test_data_is_free_of_jax():
    for path in SOURCES:
        if wing(path) == 'data':
            assert not {module.split('.')[0] for module in imports(path)} & {'jax', 'flax', 'tensorflow', 'torch'}, path
