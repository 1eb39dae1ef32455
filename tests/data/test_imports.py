import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    'module, absent',
    [
        ('dnr_jax.data', ['jax', 'grain', 'tensorflow_datasets', 'tensorflow', 'av', 'cv2']),
        ('dnr_jax.data.builders.shapes', ['jax', 'grain', 'tensorflow_datasets', 'tensorflow']),
        ('dnr_jax.data.source', ['jax', 'grain', 'tensorflow']),
        ('dnr_jax.data.prepare', ['jax', 'grain', 'tensorflow_datasets', 'tensorflow']),
        ('dnr_jax.data.pipeline', ['flax', 'tensorflow']),  # Grain imports JAX
    ],
)
def test_modules_stay_light(module, absent):
    program = f'import sys, {module}; print(*(name for name in {absent} if name in sys.modules))'
    output = subprocess.check_output([sys.executable, '-c', program], cwd=ROOT, text=True)
    assert output.split() == []
