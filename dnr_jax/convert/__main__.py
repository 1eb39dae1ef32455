"""Makes a checkpoint of ours from weights of PyTorch: python -m dnr_jax.convert SOURCE FILE --out DIR

SOURCE says how the keys of FILE are named: dnr, torchvision, torchvision_video, timm, tsm, tanet, tea, res2net,
mmaction2, mmaction2_r2plus1d, pyslowfast, pyslowfast_slowfast, pytorchvideo, pytorchvideo_i3d, pytorchvideo_slowfast.
The network is that of the config, ResNet-50 with batch norm unless another is given:

    --config=configs/kinetics400.py:tsm_resnet50,batch --config.clip.frames=8

A checkpoint of a training often holds a moving average beside its weights, which is told: --key=model_ema takes that.

torchvision_video is its R(2+1)D, which reads pixels by the mean of Kinetics, not of ImageNet; those of a source come
with its weights.

Back, under the keys of the released code: python -m dnr_jax.convert dnr WORKDIR --to-torch FILE
"""

from absl import flags

from dnr_jax import command
from dnr_jax.command.terminal import tell
from dnr_jax.files import as_path

CONFIG = command.define_config('configs/kinetics400.py:resnet50,batch', 'Config file; after a colon: BACKBONE,NORMS.')
OUT = flags.DEFINE_string('out', None, 'Folder for the checkpoint, to score and to begin trainings with.')
CLASSES = flags.DEFINE_string('classes', None, 'File with the name of one class a line, in the order of the labels.')
DATA = flags.DEFINE_bool('data', False, 'Take the names of classes from the data set of the config, as prepared.')
KEY = flags.DEFINE_string('key', None, "What to take of a file that holds several: 'model_ema'; default: the weights.")
TO_TORCH = flags.DEFINE_string('to-torch', None, 'File for the weights of a work folder: .pth, .safetensors or .npz.')
CHECKPOINT = flags.DEFINE_string('checkpoint', 'last', "Which one of a work folder: 'last', 'best' or a step.")


def main(arguments: list[str]) -> None:
    if len(arguments) != 2:
        command.refuse('expected SOURCE FILE; see --help')
    source, file = arguments
    if (OUT.value is None) == (TO_TORCH.value is None):
        command.refuse('expected --out=FOLDER, or --to-torch=FILE for the way back; see --help')
    from dnr_jax.convert import conversion

    if OUT.value:
        account = conversion.convert(source, file, CONFIG.value, label_names(), OUT.value, key=KEY.value)
        return tell(account)
    if source != 'dnr':
        command.refuse(f"the way back knows the keys of 'dnr' only, got '{source}'")
    tell(conversion.to_torch(file, CHECKPOINT.value, TO_TORCH.value))


def label_names() -> list[str] | None:
    if CLASSES.value:
        return read_names(CLASSES.value)
    if DATA.value:
        from dnr_jax.data.source import split_of

        data = CONFIG.value.data
        return list(split_of(data, data.train_split).label_names)
    return None


def read_names(file: str) -> list[str]:
    try:
        return as_path(file).expanduser().read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        command.refuse(f'--classes is a file of class names, one a line: {error}')


def run() -> None:
    flags.FLAGS.set_gnu_getopt()
    command.run(main)


if __name__ == '__main__':
    run()
