"""Every key of a run, with the released recipe as its value; other configs are only their differences.

Source of the values: github.com/caidonkey/dnr, Kinetics-400 with ResNet-50 from scratch.

Beside the value of a key stands what it may be, in the words of dnr_jax/runs/config_ranges.py: all are checked before
anything starts. What fits together is checked by those who take it.

Other configs may leave a key open, as configs/videos.py does: None, for dnr_jax/training/choices.py to choose a value
by the prepared data.

Sections are passed on as keyword arguments, so a key that nobody takes is an error. `model`, `data`, `clip`,
`pixels`, `augment`, `schedule`, `optimizer`, `regularization`, `train`, `seed` and `init_from` say what is trained; a
work folder belongs to one such choice. `recipe`, `validation`, `test` and `run` may change between one run and its
continuation, and of `data` where it lies, its cache, and what is done with damaged records.
"""

from ml_collections import ConfigDict

MODEL = {
    'backbone': ('', 'text'),  # a key of dnr_jax.models.MODELS
    'norms': ('', 'text'),  # a preset (dnr, dnr_temporal, dnr_layer, dnr_group, batch, group, none), or one word of
                            # norms.NORMS per convolution of a block: 'cross_layer,cross_temporal,batch'
    'norm': {
        'stride': (2, '1..'),  # frames per hop of a cross-temporal relay
        'reduction': (4, '1..'),  # of the hidden layers of a relay cell
        'statistics_scope': ('device', 'text'),  # of clips: each 'device' its own, 'global', or in sets of a
                                                 # number: '8'
        'momentum': (0.9, '[0, 1)'),  # share of the old running statistics kept at each update
        'running_per_hop': (False, 'bool'),  # running statistics of every hop by itself; released: one pair for all
        'frozen_statistics': ('', 'pattern'),  # of norms that keep their running statistics: 'stem|stage1'
        'epsilon': (1e-5, '(0, 1)'),  # added to variances
        'groups': (32, '1..'),  # of channels, in group statistics
        'renormalization': ((3.0, 5.0), '[1, inf); [0, inf)'),  # limits of r and d of batch_renormalized; (1.0, 0.0)
                                                                # is batch norm
        'reading_dropout': (0.1, '[0, 1)'),  # share of what the cells of norms with dropout read
    },
    'standardize_weights': (False, 'bool'),  # kernels of convolutions have mean 0 and keep the variance of inputs
    'width': (64, '1..'),  # channels of the first stage
    'dropout': (0.4, '[0, 1)'),  # before the linear layer
    'remat': (False, 'bool'),  # compute activations within a stage again in the backward pass, to save memory
    'dtype': ('float32', 'float32 | bfloat16'),  # of activations; parameters and statistics are float32. On GPUs
                                                 # and TPUs convolutions of float32 round more, but with
                                                 # JAX_DEFAULT_MATMUL_PRECISION=highest
}  # fmt: skip

DATA = {
    'name': ('', 'text'),  # a key of dnr_jax.data.DATASETS, with its TFDS config after a slash where it has several
    'dir': ('~/tensorflow_datasets', 'path'),  # where `python -m dnr_jax.data.prepare` put it
    'cache': (0, '0..'),  # bytes of the disk of each host for what is read of a bucket; 0 keeps none
    'train_split': ('train', 'text'),
    'damaged': ('stop', 'stop | skip'),  # at a record that cannot be read, or skip it, counted; scores say what is
                                         # missing
}  # fmt: skip

CLIP = {
    'sampling': ('dense', 'text'),  # which frames, a key of dnr_jax.data.sampling.SAMPLINGS
    'frames': (8, '1..'),  # T
    'stride': (8, '1..'),  # from one sampled frame to the next, where they are dense
}  # fmt: skip

PIXELS = {
    'mean': ((123.675, 116.28, 103.53), '3 of [0, 255]'),  # of red, green, blue, taken off on the device
    'std': ((58.395, 57.12, 57.375), '3 of (0, 255]'),
}  # fmt: skip

AUGMENT = {
    'crop': ('multi_scale', 'multi_scale | random_resized | scale_jitter'),
    'short_side': (256, '1..'),  # frames are resized to this first
    'scales': ((1.0, 0.875, 0.75, 0.66), 'some of (0, 1]'),  # multi_scale: heights and widths, of the short side
    'max_scale_gap': (1, '0..'),  # multi_scale: places in `scales` that height and width may lie apart
    'positions': (5, '5 | 13'),  # multi_scale: corners and centre, or more
    'snap': (0, '0..'),  # multi_scale: heights and widths so many pixels from `size` become `size`
    'area': ((0.08, 1.0), '2 of (0, 1]'),  # random_resized: share of the frame, least and largest
    'ratio': ((0.75, 4 / 3), '2 of (0, inf)'),  # random_resized: width to height
    'short_sides': ((256, 320), '2 of 1..'),  # scale_jitter: the short side is drawn, in place of `short_side`
    'size': (224, '1..'),  # crops are resized to this square
    'flip': (0.5, '[0, 1]'),  # probability of a left-right flip of the whole clip
    'flip_labels': (True, 'bool'),  # a flipped clip takes the class whose name has left and right exchanged, if any
    'color_jitter': ((0.0, 0.0, 0.0, 0.0), '[0, inf); [0, inf); [0, inf); [0, 0.5]'),  # strengths of brightness,
                                                                                       # contrast, saturation, hue
    'rand_augment': {  # operations on a clip
        'layers': (0, '0..'),  # how many; 0 does none
        'magnitude': (7.0, '[0, 10]'),
        'deviation': (0.5, '[0, inf)'),
    },
    'erasing': (0.0, '[0, 1]'),  # probability that a box of the clip becomes noise
    'repeats': (1, '1..'),  # clips taken from a video each time it comes up
}  # fmt: skip

SCHEDULE = {
    'learning_rate': (0.1, '(0, inf)'),  # for the total batch of the recipe
    'warmup_steps': (127_840, '0..'),  # 34 epochs of the recipe; linear, from warmup_start; multiplies what falls
    'warmup_start': (0.01, '[0, 1]'),  # share of the learning rate at step 0
    'decay': ('cosine', 'cosine | steps | constant'),
    'fall_by': ('epoch', 'epoch | step'),  # how often the cosine falls
    'milestones': ((), 'any of 1..'),  # epochs at which 'steps' multiplies the rate by gamma
    'gamma': (0.1, '(0, 1]'),
}  # fmt: skip

OPTIMIZER = {
    'name': ('sgd', 'sgd | adamw'),  # adamw wants a smaller rate and a larger decay: 3e-4 and 0.05
    'momentum': (0.9, '[0, 1)'),  # of adamw, the first of its betas
    'nesterov': (False, 'bool'),
    'second_momentum': (0.999, '[0, 1)'),  # of adamw, the second of its betas
    'epsilon': (1e-8, '(0, 1)'),  # of adamw, added to the root of the mean square
    'weight_decay': (1e-4, '[0, 1)'),  # on every parameter, scales and biases too
    'clip_norm': (40.0, '[0, inf)'),  # global norm of the averaged gradient; 0 does not clip
    'groups': ((), 'any of pattern; [0, inf); [0, inf)'),  # by path, factors of rate and decay, see tsn.GROUPS
    'frozen': ((), 'any of pattern'),  # parameters that stay as they are: ('stem', 'stage1')
}  # fmt: skip

REGULARIZATION = {
    'label_smoothing': (0.0, '[0, 1)'),  # share of a label spread over all classes
    'mixup': (0.0, '[0, inf)'),  # alpha of its Beta distribution; 0 does not mix
    'cutmix': (0.0, '[0, inf)'),  # likewise; with both, each step takes one of them
}  # fmt: skip

TRAIN = {
    'batch_size': (64, '1..'),  # clips per step over all devices; statistics are taken per device
    'epochs': (196, '1..'),
    'balanced_sampling': (0.0, '[0, 1]'),  # videos drawn by class: 0 reads each once an epoch, 1 of every class as many
    'class_weights': (0.0, '[0, 1]'),  # losses weighed by (videos of the class)^-this; 1 lets classes weigh the same
    'micro_batches': (1, '1..'),  # parts in which a device passes its clips, to save memory; statistics are of one
    'statistics_until': (1.0, '(0, 1]'),  # share of the steps; then norms use their running averages in training too
    'ema_decay': (0.0, '[0, 1)'),  # of a moving average of the parameters, used to evaluate; 0 keeps none
    'max_skipped_steps': (0, '0..'),  # updates that are not finite and are left out, before the run stops
}  # fmt: skip

RECIPE = {
    'batch_size': (64, '1..'),  # what the learning rate was found for; a run that leaves it is told so
    'learning_rate': (0.1, '(0, inf)'),
    'clips_per_statistic': (8, '1..'),
}  # fmt: skip

# How a score is taken: `validation` while training, `test` at its end and by eval.py.
VALIDATION = {
    'split': ('validation', 'text'),
    'clips': (1, '1..'),  # views along time
    'crops': (1, '1 | 3 | 5 | 10'),  # views in space: centre, along the long side, corners and centre, and mirrored
    'short_side': (256, '1..'),
    'size': (224, '1..'),
    'average': ('logits', 'logits | probabilities'),  # over views
    'views_at_once': (0, '0..'),  # clips of a device that pass the network at once, to save memory; 0 passes all
    'batch_size': (64, '1..'),  # videos per step over all devices; as many more as give each the same number
}  # fmt: skip

TEST = {
    'split': ('validation', 'text'),
    'clips': (10, '1..'),
    'crops': (3, '1 | 3 | 5 | 10'),
    'short_side': (256, '1..'),
    'size': (256, '1..'),
    'average': ('logits', 'logits | probabilities'),
    'views_at_once': (0, '0..'),
    'batch_size': (8, '1..'),
}  # fmt: skip

RUN = {
    'workers': (8, '0..'),  # loader processes; 0 reads in threads of this one
    'prefetch': (2, '0..'),  # batches placed on the devices ahead of their step
    'log_every_steps': (50, '0..'),  # 0, here and in the next two: at the end only
    'validate_every_epochs': (5, '0..'),
    'checkpoint_every_steps': (2000, '0..'),
    'keep': (2, '2..'),  # latest checkpoints, one to fall back to; the best one by validation top-1 stays too
    'watchdog_seconds': (300, '0..'),  # a step or batch that takes longer ends the run; 0 waits for ever
    'precise_batches': (0, '0..'),  # training batches whose statistics replace the running ones for every score
    'self_inclusive': (0, '0..'),  # clips of a set that every scored clip is counted into, as in training, where
                                   # these are few; takes precise_batches; 0, as released, counts it into none
    'profile_steps': (0, '0..'),  # steps traced into WORKDIR/profile, from the third on
}  # fmt: skip

KEYS = {
    'seed': (0, '0..4294967295'),
    'init_from': ('', 'path'),  # folder of a checkpoint whose weights a new training begins with, see dnr_jax.convert
    'model': MODEL,
    'data': DATA,
    'clip': CLIP,
    'pixels': PIXELS,
    'augment': AUGMENT,
    'schedule': SCHEDULE,
    'optimizer': OPTIMIZER,
    'regularization': REGULARIZATION,
    'train': TRAIN,
    'recipe': RECIPE,
    'validation': VALIDATION,
    'test': TEST,
    'run': RUN,
}


def get_config(model: str = 'resnet50,dnr') -> ConfigDict:
    """The base config, locked; `model` is what stands after the colon of --config, see `choose_model`."""
    config = ConfigDict(column(KEYS, 0))
    config.ranges = ConfigDict(column(KEYS, 1))
    return choose_model(config, model).lock()


def column(keys: dict, number: int) -> dict:
    """Of all keys the value, or what it may be."""
    return {name: column(of, number) if isinstance(of, dict) else of[number] for name, of in keys.items()}


def choose_model(config: ConfigDict, model: str) -> ConfigDict:
    """Sets backbone and norms from 'backbone', 'backbone,preset' or 'backbone,word,word,word'."""
    config.model.backbone, _, norms = model.partition(',')
    config.model.norms = norms or 'dnr'
    return config
