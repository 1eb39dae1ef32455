"""Compiling ahead: what a program becomes on accelerators that are not here, by the word of their compilers.

    mesh = parallel.make_mesh(topologies.describe('v5e:16x16').devices)      nothing can run on them
    compiled = compilation.train_step(config, mesh, classes=400)
    hlo.Program(compiled.as_text())                      kernels, cycles, bytes, what the devices exchange

XLA compiles for TPUs and NVIDIA GPUs on any machine with the packages of their compilers; no accelerator is needed.
"""

__all__ = [
    'compilation',
    'estimates',
    'hlo',
    'topologies',
]
