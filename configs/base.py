"""Every key of a run, with the released recipe as its value; other configs are only their differences.

Source of the values: github.com/caidonkey/dnr, Kinetics-400 with ResNet-50 from scratch.

Sections are passed on as keyword arguments, so a key that nobody takes is an error. `model`, `data`, `clip`,
`pixels`, `augment`, `schedule`, `optimizer`, `regularization`, `train`, `seed` and `init_from` say what is trained; a
work folder belongs to one such choice. `recipe`, `validation`, `test` and `run` may change between one run and its
continuation.
"""

from ml_collections import ConfigDict


def get_config(model: str = 'resnet50,dnr') -> ConfigDict:
    """The base config, locked; `model` is what stands after the colon of --config, see `choose_model`."""
    config = ConfigDict()
    config.seed = 0
    config.init_from = ''  # folder of a checkpoint whose weights a new training begins with, see dnr_jax.convert

    config.model = ConfigDict({
        'backbone': '',  # a key of dnr_jax.models.MODELS
        'norms': '',  # a preset (dnr, dnr_temporal, dnr_layer, dnr_group, batch, group, none), or one word of
                      # normalization.NORMS per convolution of a block: 'cross_layer,cross_temporal,batch'
        'norm': {
            'stride': 2,  # frames per hop of a cross-temporal relay
            'reduction': 4,  # of the hidden layers of a relay cell
            'statistics_scope': 'device',  # of clips: each 'device' its own, 'global', or in sets of a number: '8'
            'momentum': 0.9,  # share of the old running statistics kept at each update
            'running_per_hop': False,  # running statistics of every hop by itself; released: one pair for all hops
            'frozen_statistics': '',  # pattern of norms that keep their running statistics: 'stem|stage1'
            'epsilon': 1e-5,  # added to variances
            'groups': 32,  # of channels, in group statistics
        },
        'width': 64,  # channels of the first stage
        'dropout': 0.4,  # before the linear layer
        'remat': False,  # compute activations within a stage again in the backward pass, to save memory
        'dtype': 'float32',  # of activations: float32 or bfloat16; parameters and statistics are float32. On GPUs and
                             # TPUs convolutions of float32 round more, but with JAX_DEFAULT_MATMUL_PRECISION=highest
    })  # fmt: skip

    config.data = ConfigDict(
        {
            'name': '',  # a key of dnr_jax.data.DATASETS, with its TFDS config after a slash where it has several
            'dir': '~/tensorflow_datasets',  # where `python -m dnr_jax.data.prepare` put it
            'train_split': 'train',
            'damaged': 'stop',  # at a record that cannot be read, or 'skip' it, counted; scores say what is missing
        }
    )
    config.clip = ConfigDict(
        {
            'sampling': 'dense',  # which frames, a key of dnr_jax.data.sampling.SAMPLINGS
            'frames': 8,  # T
            'stride': 8,  # from one sampled frame to the next, where they are dense
        }
    )
    config.pixels = ConfigDict(
        {
            'mean': (123.675, 116.28, 103.53),  # of red, green, blue, taken off on the device
            'std': (58.395, 57.12, 57.375),
        }
    )
    config.augment = ConfigDict({
        'crop': 'multi_scale',  # or 'random_resized', or 'scale_jitter'
        'short_side': 256,  # frames are resized to this first
        'scales': (1.0, 0.875, 0.75, 0.66),  # multi_scale: heights and widths, relative to the short side
        'max_scale_gap': 1,  # multi_scale: places in `scales` that height and width may lie apart
        'positions': 5,  # multi_scale: corners and centre, or 13
        'snap': 0,  # multi_scale: heights and widths so many pixels from `size` become `size`
        'area': (0.08, 1.0),  # random_resized: share of the frame
        'ratio': (0.75, 4 / 3),  # random_resized: width to height
        'short_sides': (256, 320),  # scale_jitter: the short side is drawn, in place of `short_side`
        'size': 224,  # crops are resized to this square
        'flip': 0.5,  # probability of a left-right flip of the whole clip
        'flip_labels': True,  # a flipped clip takes the class whose name has left and right exchanged, if there is one
        'color_jitter': (0.0, 0.0, 0.0, 0.0),  # strengths of brightness, contrast, saturation and hue
        'rand_augment': {'layers': 0, 'magnitude': 7.0, 'deviation': 0.5},  # operations on a clip; 0 does none
        'erasing': 0.0,  # probability that a box of the clip becomes noise
        'repeats': 1,  # clips taken from a video each time it comes up
    })  # fmt: skip

    config.schedule = ConfigDict(
        {
            'learning_rate': 0.1,  # for the total batch of the recipe
            'warmup_steps': 127_840,  # 34 epochs of the recipe; linear, from warmup_start; multiplies what falls
            'warmup_start': 0.01,  # share of the learning rate at step 0
            'decay': 'cosine',  # 'cosine', 'steps' or 'constant'
            'fall_by': 'epoch',  # the cosine falls once an epoch, or every 'step'
            'milestones': (),  # epochs at which 'steps' multiplies the rate by gamma
            'gamma': 0.1,
        }
    )
    config.optimizer = ConfigDict(
        {
            'momentum': 0.9,
            'nesterov': False,
            'weight_decay': 1e-4,  # on every parameter, scales and biases too
            'clip_norm': 40.0,  # global norm of the averaged gradient; 0 does not clip
            'groups': (),  # (pattern, factor of the rate, factor of the decay) by path, see tsn.GROUPS
            'frozen': (),  # patterns of parameters that stay as they are: ('stem', 'stage1')
        }
    )
    config.regularization = ConfigDict(
        {
            'label_smoothing': 0.0,  # share of a label spread over all classes
            'mixup': 0.0,  # alpha of its Beta distribution; 0 does not mix
            'cutmix': 0.0,  # likewise; with both, each step takes one of them
        }
    )
    config.train = ConfigDict(
        {
            'batch_size': 64,  # clips per step over all devices; statistics are taken per device
            'epochs': 196,
            'micro_batches': 1,  # parts in which a device passes its clips, to save memory; statistics are of a part
            'ema_decay': 0.0,  # of a moving average of the parameters, used to evaluate; 0 keeps none
            'max_skipped_steps': 0,  # updates that are not finite and are left out, before the run stops
        }
    )
    config.recipe = ConfigDict(
        {
            'batch_size': 64,  # what the learning rate was found for; a run that leaves it is told so
            'learning_rate': 0.1,
            'clips_per_statistic': 8,
        }
    )

    # How a score is taken: `validation` while training, `test` at its end and by eval.py.
    config.validation = ConfigDict(
        {
            'split': 'validation',
            'clips': 1,  # views along time
            'crops': 1,  # views in space: 1 (centre), 3 (along the long side), 5 (corners, centre), 10 (and mirrored)
            'short_side': 256,
            'size': 224,
            'average': 'logits',  # over views: 'logits' or 'probabilities'
            'views_at_once': 0,  # clips of a device that pass the network at once, to save memory; 0 passes all
            'batch_size': 64,  # videos per step over all devices
        }
    )
    config.test = ConfigDict(
        {
            'split': 'validation',
            'clips': 10,
            'crops': 3,
            'short_side': 256,
            'size': 256,
            'average': 'logits',
            'views_at_once': 0,
            'batch_size': 8,
        }
    )

    config.run = ConfigDict(
        {
            'workers': 8,  # loader processes; 0 reads in threads of this one
            'prefetch': 2,  # batches placed on the devices ahead of their step
            'log_every_steps': 50,  # 0, here and in the next two: at the end only
            'validate_every_epochs': 5,
            'checkpoint_every_steps': 2000,
            'keep': 2,  # latest checkpoints; the best one by validation top-1 stays too
            'watchdog_seconds': 300,  # a step or batch that takes longer ends the run; 0 waits for ever
            'precise_batches': 0,  # training batches whose statistics replace the running ones for every score
            'compilation_cache': '',  # folder that keeps compiled programs of train.py from run to run
            'profile_steps': 0,  # steps traced into WORKDIR/profile, from the third on
        }
    )
    return choose_model(config, model).lock()


def choose_model(config: ConfigDict, model: str) -> ConfigDict:
    """Sets backbone and norms from 'backbone', 'backbone,preset' or 'backbone,word,word,word'."""
    config.model.backbone, _, norms = model.partition(',')
    config.model.norms = norms or 'dnr'
    return config
