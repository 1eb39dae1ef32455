"""J-HMDB, the first of its three divisions: 21 everyday actions, 671 short clips to train on.

    python -m dnr_jax.data.prepare jhmdb21 --variant split1 --source DIR --form jpeg --short_side 72
    python train.py --config=configs/jhmdb21.py:resnet18,dnr --workdir=runs/jhmdb21_dnr
    python train.py --config=configs/jhmdb21.py:resnet18,dnr --config.init_from=runs/grid_dnr \
        --config.schedule.learning_rate=0.02 --workdir=runs/jhmdb21_from_grid

DIR holds the official `<class>_test_split1.txt` and the videos in class folders. The network is that of
configs/grid_words.py, so that one can begin with the weights of the other. J-HMDB has no validation videos: scores
while training are those of its test videos. From nothing so few clips teach little; after another training they are a
fair target.

Source of the videos: Jhuang, Gall, Zuffi, Schmid, Black, "Towards understanding action recognition", ICCV 2013.
"""

from configs import grid_words


def get_config(model: str = 'resnet18,dnr'):
    """Eight frames that span 24, of the 15 to 40 that a clip has."""
    config = grid_words.get_config(model)
    config.data.name = 'jhmdb21/split1-jpeg72'
    config.clip.stride = 3
    config.model.dropout = 0.5
    config.augment.update({'short_side': 72, 'size': 64, 'scales': (1.0, 0.875, 0.75)})
    config.schedule.update({'learning_rate': 0.05, 'warmup_steps': 84})  # two epochs
    config.train.epochs = 30
    config.recipe.learning_rate = 0.05
    config.validation.update({'split': 'test', 'short_side': 72, 'size': 64})
    config.test.update({'short_side': 72, 'size': 64})
    config.run.update({'validate_every_epochs': 10, 'checkpoint_every_steps': 420})
    return config
