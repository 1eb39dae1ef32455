"""Scores of a trained model: every video read exactly once, every view kept, a score never without its protocol.

    batches, eval_step, scoring        from records to predictions, while training as afterwards
    multi_view, metrics, scores        what predictions are worth; examples, a few of them to look at
    predictions, results               the files they are kept in
    precise_statistics                 running statistics taken anew before scoring
    checkpoint_score, watching         all of it, for a work folder: eval.py, and beside a training

Training takes its scores by the same functions.
"""

__all__ = [
    'batches',
    'checkpoint_score',
    'eval_step',
    'examples',
    'metrics',
    'multi_view',
    'precise_statistics',
    'predictions',
    'results',
    'scores',
    'scoring',
    'watching',
]
