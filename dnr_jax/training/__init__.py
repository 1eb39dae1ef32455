"""Training: from a config to a trained model in its work folder.

    setup, checks, introduction        all parts made, checked against each other, and told, before anything expensive
    choices                            what a config leaves open, chosen by the prepared data
    train_step, losses, mixing, optimizers       one update, as a pure function
    loop, progress, profiling          the loop over steps, and what is seen of it
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
    'setup',
    'train_step',
]
