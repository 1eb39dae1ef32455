"""A work folder: what a run leaves in it, finds again in it, and is kept from losing.

    checkpoints, stored, manifest  states, sealed; an undamaged one is found again
    ownership, lock, identity      one run at a time, of one training
    agreement                      processes that begin alike
    guards, stopping, watchdog     that stop together, and do not hang
    config_ranges, trained_model   a config that holds; the model of a checkpoint, ready to be used
    reporting, event_file          what is told while it goes on: lines, curves
    state, transfer                what a training carries; what becomes of arrays that change networks

Only `stored` knows Orbax.
"""

__all__ = [
    'agreement',
    'checkpoints',
    'config_ranges',
    'copies',
    'guards',
    'identity',
    'manifest',
    'ownership',
    'reporting',
    'state',
    'stopping',
    'stored',
    'trained_model',
    'transfer',
    'watchdog',
]
