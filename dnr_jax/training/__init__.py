"""Training: from a config to a trained model in its work folder.

    choices                            what a config leaves open, chosen by the prepared data
    setup, parts, checks, introduction       all parts made, checked against each other, and told, beforehand
    train_step, losses, mixing, optimizers       one update, as a pure function
    loop, validation, progress, profiling    the loop over steps, the scores on its way, and what is seen of it
    initial_weights, dry_run           what it begins with; what it would take

A run that was stopped goes on to the bit as one that was not.
"""

__all__ = [
    'checks',
    'choices',
    'dry_run',
    'introduction',
    'loop',
    'optimizers',
    'parts',
    'setup',
    'train_step',
]
