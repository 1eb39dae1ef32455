"""The same function as each platform wants it, and which of its forms a program takes.

    max_pool = Forms(cpu=max_of_slices, tpu=windowed_max, gpu=max_of_slices)
    y = max_pool(x)

This is the only place that knows platforms by name.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
from jax import Array, lax


class Forms(NamedTuple):
    """The same function as each platform wants it."""

    cpu: Callable
    tpu: Callable
    gpu: Callable

    def __call__(self, *arrays: Array, **settings):
        """By the platform of the mesh that the program is traced under, else by the one it is compiled for."""
        forms = {'cpu': self.cpu, 'tpu': self.tpu}
        if device := jax.sharding.get_abstract_mesh().abstract_device:
            return forms.get(device.platform, self.gpu)(*arrays, **settings)
        apart = {platform: partial(form, **settings) for platform, form in forms.items() if form != self.gpu}
        return lax.platform_dependent(*arrays, **apart, default=partial(self.gpu, **settings))
