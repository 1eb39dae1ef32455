"""The words between the tables of docs/runs.md, see `pages`."""

INTRODUCTION = """
# All runs

What they say stands in [`findings.md`](findings.md). Both pages are written from the records in `experiments/records`:

```
python -m dnr_jax.data.prepare moving_shapes
python -m dnr_jax.data.prepare moving_shapes --variant hard
python -m experiments.small_batch
python -m experiments.families
python -m experiments.pages
```

The third and the fourth command add to the records what is missing, and can be stopped at any time; the last writes the
pages. How long the trainings have taken stands below their tables.

## Small batches

`configs/hard_shapes.py`: SGD, 16 clips a step, two epochs (300 steps) or six (900). Of the 16 clips of a step 2, 4, 8
or all share statistics; `temporal` and `layer` are `dnr_temporal` and `dnr_layer`. `global batch` has statistics over
all 16 clips whatever the column: on one device these are the runs of `batch` at 16. Group norm and `dnr over group`
know no clips per statistic either. All means are over seeds from 0, ± their standard deviation; the number of seeds
stands behind.
"""

AFTER_900 = """
## After 900 steps
"""

WAYS = """
### Training mode and evaluation

The same test clips by the statistics of their own sets, by running statistics, and by precise statistics of training
clips under the final parameters, one pair for all hops or one for each. Drift is the distance of the running from the
precise statistics, spread that of the hops from each other, in standard deviations and logarithms of variances, both
averaged over layers; `python -m dnr_jax.statistics_report` tells them of any training.
"""

PAIRS = """
### Against batch norm, pair by pair

Points of top-1 over `batch` with the same clips per statistic, backbone and seed. `p seeds`: paired t-test over seeds,
which sees large effects only. `p clips`: paired t-test over the test clips, of the mean over seeds of each, which takes
these seeds as given; it calls differences certain that other seeds may turn round. Only where both are bold has
something been shown. They are not corrected for their number. `both`: the pairs of both backbones together.
"""

AFTER_300 = """
## After 300 steps
"""

CONTROLS = """
### Is it the recipe, or the initial scale?

A relay's scale starts at about a quarter, which calms the first steps: the loss of batch norm rises above chance there,
that of `dnr` hardly. Batch norm whose scale starts at a quarter in the same places has the calm without the relay. It
gains a few points at 16 clips, a small part of what `dnr` is ahead; on TSM with 2 clips it loses what batch norm has
gained there.
"""

IMPROVEMENTS = """
## What could be better

The changes that [`findings.md`](findings.md#what-was-tried-to-make-it-better) names, by the same protocol.
"""

FAMILIES = """
## Does every family learn moving shapes?

One network of each family on the standard moving shapes (8 classes), four epochs, seed 0, with batch norm and with
relays; test accuracy on all test videos. One seed each, and a recipe found for `resnet18,dnr`: what a network could
reach with one of its own is not told here. By this one TANet with batch norm has learned nothing. MobileNetV2, whose
loss rises to several times that of chance at this rate, is trained at a fifteenth of it and for eight epochs. Networks
that shrink the frames were given 16 of them. Running statistics are kept for every hop
(`config.model.norm.running_per_hop=True`, see `configs/moving_shapes.py`). Empty cells were not run.
"""
