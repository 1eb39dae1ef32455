"""What the tables of docs/experiments.md say, in words; their numbers come from the records, see `pages`."""

from dnr_jax.data.builders.hard_shapes import LABEL_NAMES
from dnr_jax.data.builders.moving_shapes import SIZES

CLASSES, TRAIN, TEST = len(LABEL_NAMES), SIZES['hard']['train'], SIZES['hard']['test']

INTRODUCTION = """
# Experiments

```
python -m dnr_jax.data.prepare moving_shapes
python -m dnr_jax.data.prepare moving_shapes --variant hard
python -m experiments.small_batch
python -m experiments.families
python -m experiments.pages
```

The last command writes this page from the records in `experiments/records`; the two before it add to them what is
missing, and can be stopped at any time. How long the first of them has taken stands below its tables.
"""

SMALL_BATCH = f"""
## Does the relay help, in small batches, and where the backbone models time?

The claim: it does. Tested on `moving_shapes/hard`: {CLASSES} classes in pairs that are each other run backwards
(moving, growing, turning, circling, changing pace), among drifting distractors, behind a bar, seen by a panning camera;
{TRAIN:,} clips to train, {TEST} to test, chance at {1 / CLASSES:.1%}. Networks of width 8 on 8 frames of 32 x 32, by
`configs/hard_shapes.py`: SGD, 16 clips a step, two epochs or six, the same clips in the same order for every norm. Of
the 16 clips of a step 2, 4, 8 or all share statistics; `temporal` and `layer` are `dnr_temporal` and `dnr_layer`.
`global batch` has statistics over all 16 clips whatever the column: on one device these are the runs of `batch` at 16.
Group norm and `dnr over group` know no clips per statistic either. All means are over seeds, ± their standard
deviation.

**Found**, after 900 steps unless it says otherwise

* Where the backbone sees no order (TSN), the relay along frames is what brings it, and the one along layers adds to it:
  with batch norm the network stays at about twice chance for any number of clips; from 4 clips on, `layer` is right for
  over a quarter of the test clips, `temporal` for nearly half, `dnr`, which is both, for two thirds.
* In small batches the relay along layers is what keeps it. At 2 clips TSM with batch norm is right for seven clips of
  ten in training mode and for fewer than four in evaluation; with `layer` for more than seven in both, close to what
  batch norm reaches with 8 clips. This is the largest and surest difference on TSM. The small initial scale is not what
  does it: batch norm with that scale loses as much. A guess, not tested: the cell reads the means of this very clip
  before they are standardized, so it can take back what the statistics of two clips have done to it.
* The relay along frames, as released, costs a part of that: it standardizes every hop by itself, and four frames are
  all that 2 clips and a hop of 2 frames leave. `temporal` alone is below batch norm on TSM at 2 clips, and `dnr` lies
  between batch norm and `layer`. Fewer frames a hop (`dnr, stride 1`) cost another dozen points; statistics of whole
  clips under the same relay give them back, see below.
* Where 8 or all 16 clips share statistics and the backbone models time (TSM), no lead of any relay is left: at 8 clips
  batch norm is ahead of all of them. After 300 steps `dnr` was ahead there by ten points and more, when batch norm had
  not left its first plateau; after 900 it is not. So what shows there after 300 steps is speed.
* Group norm, with a relay or without, depends on its seed here: near chance on one or two of three, a quarter to a
  half of the test clips on the others, also at a lower rate. Its rows say that this recipe is wrong for it, and nothing
  of the relay over it.
* The networks are tiny, and the last stage has a single position: 2 clips and a hop of 2 frames leave 4 values to a
  variance there. Networks of the published size have 49 times as many.
* Seeds: three for every cell at first. Two more were run for `batch`, `dnr`, `layer` and `dnr, whole statistics` once
  three had shown where the differences lie, first on TSM at 2 clips, then everywhere.
"""

AFTER_900 = """
## After 900 steps

Six epochs; the number of seeds stands behind every mean. All ways of scoring the same networks are explained below.
"""

AFTER_300 = """
## After 300 steps

Two epochs: what networks learn first.
"""

PAIRS = """
### Against batch norm, pair by pair

Points of top-1 over `batch` with the same clips per statistic, backbone and seed. `p seeds`: paired t-test over seeds,
which sees large effects only. `p clips`: exact McNemar test over the test clips of all seeds, which takes these seeds
as given; it calls differences certain that other seeds may turn round. Only where both are bold has something been
shown. They are not corrected for their number. `both`: the pairs of both backbones together.
"""

GAPS = """
### Training mode and evaluation

The same test clips by the statistics of their own sets, by running statistics, and by precise statistics of training
clips under the final parameters, one pair for all hops or one for each. Drift is the distance of the running from the
precise statistics, spread that of the hops from each other (`dnr_jax/statistics_report/drift.py` defines them,
in standard deviations and logarithms of variances), both averaged over layers.

* With 2 clips every norm loses several points to evaluation, and precise statistics do not bring them back: the
  networks have learned features that are standardized by two clips, which no statistics of many clips stand for. That
  is the price of small batches, with relays and without; drift is a few hundredths for all and explains none of it.
* With 16 clips batch norm loses nothing. `dnr` loses several points by its one running pair for all hops; a pair for
  each brings back all of them. The means of the hops differ by many times the drift. So the shared pair is what fails,
  not the average over time, and it fails where there are clips enough for everything else to be right.
"""

CONTROLS = """
### Is it the recipe, or the initial scale?

A relay's scale starts at about a quarter, which calms the first steps: the loss of batch norm rises above chance there,
that of `dnr` hardly. Batch norm whose scale starts at a quarter in the same places has the calm without the relay. It
gains a few points at 16 clips, a small part of what `dnr` is ahead; on TSM with 2 clips it loses what batch norm has
gained there. Nor does a lower learning rate lift batch norm on TSN (one seed).
"""

IMPROVEMENTS = """
## What could be better

None of these is the default, and none is part of the released method; the same protocol.

* `dnr, running pair per hop` (`config.model.norm.running_per_hop=True`): brings evaluation up to training mode, as said
  above, and costs nothing. Training is the same to the last bit.
* `dnr, scale from 1` (norms `cross_layer_unit,cross_temporal_unit`): four times the scale of the cell. Worse, on either
  backbone: the small initial scale is an advantage in short trainings, not a fault.
* `dnr, whole statistics` (norms `cross_layer,cross_temporal_whole`): the relay scales and shifts hop by hop, but all
  frames are standardized alike, as batch norm does. Predicted from the gaps above: more values behind a variance, and
  one running pair that fits all hops. Found, after 900 steps: at 2 clips more than a dozen points over `dnr` on either
  backbone, a few at more clips, fewer than `dnr` nowhere; at 16 clips on TSM what a pair for every hop gave, without
  one. Against batch norm on TSM it is ahead at 2 clips by a quarter of the test clips, behind at 8, level at 4 and 16.
  The best of these, and first to be tried on real data. In training its statistics see later frames; in evaluation it
  is causal.
* `dnr, stride 4` (`config.model.norm.stride=4`, two hops, at 2 clips): twice the values behind a variance, half the
  hops. Not better after 300 steps. `dnr, stride 1`, eight hops of one frame: worse after 900, by about a dozen points.
  Between values and hops the released 2 is a good choice, as long as every hop has statistics of its own.
* `dnr, across stages` (norms `cross_layer_onward,cross_temporal`): the relay along layers begins a stage with the state
  that the stage before has left, every channel with that of its place. No difference, at 2 clips and on TSM at 16.
* `dnr, smaller cell` (`config.model.norm.reduction=8`, half the width of the cell): no difference on TSM, six points
  less on TSN, which three seeds do not tell from none.
* Precise statistics for evaluation (`config.run.precise_batches`): nothing without a pair for each hop, see above.
"""

FAMILIES = """
## Does every family learn moving shapes?

One network of each family on the standard moving shapes (8 classes), four epochs, seed 0, with batch norm and with
relays; test accuracy on all test videos. One seed each, and a recipe found for `resnet18,dnr`: what a network could
reach with one of its own is not told here. By this one TANet with batch norm has learned nothing. MobileNetV2, whose
loss rises to several times that of chance at this rate, is trained at a tenth of it. Networks that shrink the
frames were given 16 of them. Running statistics are kept for every hop (`config.model.norm.running_per_hop=True`, see
`configs/moving_shapes.py`). Empty cells were not run.
"""
