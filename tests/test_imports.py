"""The arrows of the house: who may import whom, read from the source."""

import ast
from pathlib import Path

import dnr_jax

PACKAGE = Path(dnr_jax.__file__).parent
ROOT = PACKAGE.parent

# Lower floors first; a module imports only from floors below its own, or from beside it within a folder.
FLOORS = [
    {'terminal'},
    {'registry', 'files', 'identity', 'bars', 'watchdog', 'profiling', 'account', 'lock', 'signals'},
    {'stopping', 'ranges', 'figures', 'relay', 'forms', 'manifest', 'predictions'},
    {'statistics'},
    {'normalization'},
    {'models', 'parallel'},
    {'data', 'agreement', 'metrics', 'losses', 'mixing', 'optimizers', 'reporting'},
    {'state', 'progress', 'views', 'compare'},
    {'steps', 'checkpoints', 'scores'},
    {'trained', 'precise', 'ownership'},
    {'setup'},
    {'evaluation', 'initial'},
    {'training', 'ahead', 'streaming'},
    {'dry_run'},
    {'command', 'turns'},
    {'statistics_report', 'convert', 'study', 'predict', 'export'},
]


def imports(path: Path) -> set[str]:
    """All modules a file imports, dotted."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: imports are absolute'
            found |= {node.module} | {f'{node.module}.{alias.name}' for alias in node.names}
    return found


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


SOURCES = [path for path in PACKAGE.rglob('*.py') if path != PACKAGE / '__init__.py']


def test_every_room_has_its_floor():
    assert {room(path) for path in SOURCES} == set().union(*FLOORS)


def test_arrows_point_one_way():
    floor = {name: level for level, names in enumerate(FLOORS) for name in names}
    for path in SOURCES:
        here = room(path)
        for module in imports(path):
            parts = module.split('.')
            if parts[0] != 'dnr_jax' or len(parts) == 1 or parts[1] not in floor or parts[1] == here:
                continue
            assert floor[parts[1]] < floor[here], f'{path.relative_to(ROOT)} imports {module}'


def test_configs_and_tests_stay_outside():
    for path in SOURCES:
        assert not {module.split('.')[0] for module in imports(path)} & {'configs', 'tests'}, path
    for path in (ROOT / 'configs').glob('*.py'):
        assert {module.split('.')[0] for module in imports(path)} <= {'configs', 'ml_collections'}, path


def test_only_one_room_speaks_to_each_library():
    speakers = {
        'orbax': 'checkpoints',
        'tensorboardX': 'reporting',
        'av': 'data',
        'grain': 'data',
        'tensorflow_datasets': 'data',
        'tqdm': 'bars',
    }
    for path in SOURCES:
        for library in {module.split('.')[0] for module in imports(path)} & set(speakers):
            assert room(path) == speakers[library], f'{path.relative_to(ROOT)} imports {library}'


def test_only_parallel_lays_out_devices():
    for path in SOURCES:
        if room(path) != 'parallel':
            words = {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text()))}
            layout = ('shard_map', 'make_mesh', 'devices', 'local_devices', 'device_put', 'local_device_count')
            assert not words & {f'jax.{name}' for name in (*layout, 'sharding.Mesh')}, path


def test_data_is_free_of_jax():
    for path in SOURCES:
        if room(path) == 'data':
            assert not {module.split('.')[0] for module in imports(path)} & {'jax', 'flax', 'tensorflow', 'torch'}, path
