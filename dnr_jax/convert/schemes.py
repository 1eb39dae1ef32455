"""How networks elsewhere name their arrays, as rules that turn a key into a path of ours.

Rules are regular expressions and replacements, all applied in their order, never by the order of arrays. What a network
was wrapped in is taken off; a scheme then brings its names to those of torchvision's ResNet, which `OURS` turns into
paths:

    module.base_model.layer1.0.conv1.net.weight     tsm
    layer1.0.conv1.weight                           torchvision
    params/stage1/block1/conv1/kernel               ours

Sources: the key listings of the repositories named at each scheme.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from dnr_jax.models.mobilenet import BLOCKS
from dnr_jax.runs.transfer import HEAD, RELAY, Reasons

Rule = tuple[str, str | Callable[[re.Match], str]]

# What a training wraps a network in, whole or in parts: data parallelism, compilation, sharding, Lightning.
WRAPPERS = (
    (r'(?<![^.])(module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.', ''),
    (r'^model\.', ''),
)

# The latter two are of a moving average, by PyTorch and by MMEngine.
SKIP = ((r'/num_batches_tracked$|^params/(n_averaged|steps)$', 'a counter that nothing reads'),)
NEW_HEAD = (HEAD, 'the source has no classifier')
NEW_RELAY = (RELAY, 'the source has no relays')
NEW_TAM = (r'^.*/tam/', 'the source has no temporal adaptive modules')
NEW_TEA = (r'^.*/(excitation|temporal\d)/', 'the source has no temporal modules')

EPSILON = 1e-5  # that sources add to the variance of norms, as PyTorch does


class Scheme(NamedTuple):
    """Names of one source.

    Attributes:
      rules: from its keys to those of torchvision's ResNet, or to paths with dots at once.
      fresh: modules that its networks need not have, see `transfer.compare`.
      pixels: those of its config, where they are not those of the base config.
      epsilons: what it adds to the variance of norms, by pattern, where that is not EPSILON.
    """

    rules: Sequence[Rule]
    fresh: Reasons = (NEW_HEAD, NEW_RELAY)
    pixels: Mapping[str, tuple[float, ...]] | None = None
    epsilons: Sequence[tuple[str, float]] = ()


def path_of(key: str, rules: Sequence[Rule]) -> str:
    """The path of a key in the variables of our models, 'params/head/linear/kernel'; of unknown ones, some path."""
    key = replaced(key, (*WRAPPERS, *rules, *OURS))
    collection = 'batch_stats' if '.statistics.' in key else 'params'
    return f'{collection}.{key}'.replace('.', '/')


def replaced(key: str, rules: Sequence[Rule]) -> str:
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key


def block(match: re.Match) -> str:
    """Blocks elsewhere count from 0."""
    return f'stage{match[1]}.block{int(match[2]) + 1}.'


def number(template: str, add: int) -> Callable[[re.Match], str]:
    """The replacement in which {} is the first group, a number, plus `add`."""
    return lambda match: template.format(int(match[1]) + add)


OURS = (
    (r'^(slow\.|fast\.|)conv1\.', r'\1conv_stem.'),
    (r'^(slow\.|fast\.|)bn1\.', r'\1norm_stem.'),
    (r'^fc\.', 'head.linear.'),
    (r'\blayer(\d+)\.(\d+)\.', block),
    (r'\bdownsample\.0\.', 'conv_shortcut.'),
    (r'\bdownsample\.1\.', 'norm_shortcut.'),
    (r'\bbn(\d)\.', r'norm\1.'),
    (r'(norm\w*)\.weight$', r'\1.transform.scale'),
    (r'(norm\w*)\.bias$', r'\1.transform.shift'),
    (r'(norm\w*)\.running_', r'\1.statistics.'),
    (r'\.weight$', '.kernel'),
)

# github.com/caidonkey/dnr
DNR = (
    (r'^backbone\.', ''),
    (r'^cls_head\.fc_cls\.', 'fc.'),
    (r'\.ModuleList\.', '.'),
    (r'^layer(\d+)\.lstm\.', r'stage\1.relay.'),
    (r'\.bn(\d)\.lstm\.', r'.norm\1.transform.relay.'),
    (r'\.w_ih\.0\.seq\.', '.input_gates.'),
    (r'\.w_hh\.0\.seq\.', '.state_gates.'),
    (r'_gates\.0\.', '_gates.reduce.'),
    (r'_gates\.2\.', '_gates.expand.'),
)

# From our paths, with dots, back to keys of the released code.
TO_DNR = (
    (r'^(params|batch_stats)\.', ''),
    (r'^conv_stem\.', 'conv1.'),
    (r'^norm_stem\.', 'bn1.'),
    (r'^head\.linear\.', 'cls_head.fc_cls.'),
    (r'^stage(\d+)\.relay\.', r'layer\1.lstm.'),
    (r'^stage(\d+)\.block(\d+)\.', lambda match: f'layer{match[1]}.ModuleList.{int(match[2]) - 1}.'),
    (r'conv_shortcut', 'downsample.0'),
    (r'norm_shortcut', 'downsample.1'),
    (r'norm(\d)', r'bn\1'),
    (r'transform\.relay\.', 'lstm.'),
    (r'input_gates', 'w_ih.0.seq'),
    (r'state_gates', 'w_hh.0.seq'),
    (r'\.reduce\.', '.0.'),
    (r'\.expand\.', '.2.'),
    (r'transform\.scale$', 'weight'),
    (r'transform\.shift$', 'bias'),
    (r'statistics\.', 'running_'),
    (r'kernel$', 'weight'),
    (r'^(?!cls_head)', 'backbone.'),
)

# Temporal adaptive modules have the same names everywhere.
TAM = (
    (r'\.tam\.G\.0\.', '.tam.global.expand.'),
    (r'\.tam\.G\.1\.', '.tam.global.norm.'),
    (r'\.tam\.G\.3\.', '.tam.global.reduce.'),
    (r'\.tam\.L\.0\.', '.tam.local.reduce.'),
    (r'\.tam\.L\.1\.', '.tam.local.norm.'),
    (r'\.tam\.L\.3\.', '.tam.local.expand.'),
)

# github.com/mit-han-lab/temporal-shift-module, and what builds on it: `.net` is what a temporal module wraps
AUTHORS = ((r'^base_model\.', ''), (r'^new_fc\.', 'fc.'), (r'\.net\.', '.'))

# github.com/Phoenix1327/tea-action-recognition; Res2Net without its temporal modules
TEA = (
    *AUTHORS,
    (r'\.me\.conv1\.', '.excitation.reduce.'),
    (r'\.me\.bn1\.', '.excitation.norm_reduce.'),
    (r'\.me\.conv2\.', '.excitation.transform.'),
    (r'\.me\.conv3\.', '.excitation.expand.'),
    (r'\.me\.bn3\.', '.excitation.norm_expand.'),
    (r'\.convs\.(\d)\.', number('.conv2_{}.', 1)),
    (r'\.bns\.(\d)\.', number('.norm2_{}.', 1)),
    (r'\.shifts\.(\d)\.conv\.', number('.temporal{}.', 1)),
)

# torchvision's R(2+1)D: spatial convolution, norm, (ReLU), temporal convolution are 0, 1, 3 of a sequence
SPLIT = (
    (r'^stem\.0\.', 'conv_stem_spatial.'),
    (r'^stem\.1\.', 'norm_stem_spatial.'),
    (r'^stem\.3\.', 'conv_stem_temporal.'),
    (r'^stem\.4\.', 'norm_stem_temporal.'),
    (r'\.conv(\d)\.0\.0\.', r'.conv\1_spatial.'),
    (r'\.conv(\d)\.0\.1\.', r'.norm\1_spatial.'),
    (r'\.conv(\d)\.0\.3\.', r'.conv\1_temporal.'),
    (r'\.conv(\d)\.1\.', r'.norm\1_temporal.'),
)

MOBILE_PLACES = [(stage, j) for stage, blocks in enumerate(BLOCKS, start=1) for j in range(blocks)]


def mobile_block(match: re.Match) -> str:
    stage, j = MOBILE_PLACES[int(match[1]) - 1]
    return f'layer{stage}.{j}.'


# torchvision's MobileNetV2: one long sequence, whose first block lacks the expansion
MOBILE = (
    (r'^features\.0\.0\.', 'conv_stem.'),
    (r'^features\.0\.1\.', 'norm_stem.'),
    (r'^features\.18\.0\.', 'conv_last.'),
    (r'^features\.18\.1\.', 'norm_last.'),
    (r'^classifier\.1\.', 'fc.'),
    (r'^features\.1\.conv\.0\.', 'features.1.conv.1.'),
    (r'^features\.1\.conv\.2\.', 'features.1.conv.3.'),
    (r'^features\.1\.conv\.1\.(?=weight)', 'features.1.conv.2.'),
    (r'^features\.(1[0-7]|[1-9])\.conv\.', mobile_block),
    (r'^(layer\d\.\d)\.0\.0\.', r'\1.conv1.'),
    (r'^(layer\d\.\d)\.0\.1\.', r'\1.bn1.'),
    (r'^(layer\d\.\d)\.1\.0\.', r'\1.conv2.'),
    (r'^(layer\d\.\d)\.1\.1\.', r'\1.bn2.'),
    (r'^(layer\d\.\d)\.2\.', r'\1.conv3.'),
    (r'^(layer\d\.\d)\.3\.', r'\1.bn3.'),
)

# github.com/open-mmlab/mmaction2: a convolution, its norm and its activation are one module
MMACTION2 = (
    (r'^backbone\.', ''),
    (r'^cls_head\.fc_cls\.', 'fc.'),
    (r'^(slow|fast)_path\.', r'\1.'),
    (r'^slow\.conv1_lateral\.conv\.', 'lateral0.'),
    (r'^slow\.layer(\d)_lateral\.conv\.', r'lateral\1.'),
    (r'\.block\.', '.'),
    (r'\bconv(\d)\.conv\.(net\.)?(?=weight)', r'conv\1.'),
    (r'\bconv(\d)\.bn\.', r'bn\1.'),
    (r'\bdownsample\.conv\.(?=weight)', 'downsample.0.'),
    (r'\bdownsample\.bn\.', 'downsample.1.'),
)

# its R(2+1)D: `conv` is a pair of convolutions with a norm between them
MMACTION2_SPLIT = (
    (r'^backbone\.conv1\.', 'backbone.conv_stem.'),
    (r'\bdownsample\.', 'conv_shortcut.'),
    (r'\bconv(\w+)\.conv\.conv_s\.', r'conv\1_spatial.'),
    (r'\bconv(\w+)\.conv\.bn_s\.', r'norm\1_spatial.'),
    (r'\bconv(\w+)\.conv\.conv_t\.', r'conv\1_temporal.'),
    (r'\bconv(\w+)\.bn\.', r'norm\1_temporal.'),
)

LETTERS = {'a': 1, 'b': 2, 'c': 3}

PATHWAYS = {'0': 'slow.', '1': 'fast.'}

# github.com/facebookresearch/SlowFast; the pathway of a network that has only one is its `pathway0`
PYSLOWFAST = (
    (r'^head\.projection\.', 'fc.'),
    (r'\bs1\.pathway0_stem\.conv\.', 'conv1.'),
    (r'\bs1\.pathway0_stem\.bn\.', 'bn1.'),
    (r'\bs([2-5])\.pathway0_res(\d+)\.', lambda match: f'layer{int(match[1]) - 1}.{match[2]}.'),
    (r'\.branch1\.', '.downsample.0.'),
    (r'\.branch1_bn\.', '.downsample.1.'),
    (r'\.branch2\.([abc])\.', lambda match: f'.conv{LETTERS[match[1]]}.'),
    (r'\.branch2\.([abc])_bn\.', lambda match: f'.bn{LETTERS[match[1]]}.'),
)

PYSLOWFAST_OF_TWO = (
    (r'^s(\d)_fuse\.conv_f2s\.', number('lateral{}.', -1)),
    (r'^s(\d)_fuse\.bn\.', number('norm_lateral{}.', -1)),
    (r'^(s\d)\.pathway([01])_', lambda match: f'{PATHWAYS[match[2]]}{match[1]}.pathway0_'),
    *PYSLOWFAST,
)

# github.com/facebookresearch/pytorchvideo
PYTORCHVIDEO = (
    (r'^blocks\.\d\.proj\.', 'fc.'),
    (r'\bblocks\.0\.conv\.', 'conv1.'),
    (r'\bblocks\.0\.norm\.', 'bn1.'),
    (r'\bblocks\.(\d)\.res_blocks\.', r'layer\1.'),
    (r'\.branch1_conv\.', '.downsample.0.'),
    (r'\.branch1_norm\.', '.downsample.1.'),
    (r'\.branch2\.conv_([abc])\.', lambda match: f'.conv{LETTERS[match[1]]}.'),
    (r'\.branch2\.norm_([abc])\.', lambda match: f'.bn{LETTERS[match[1]]}.'),
)

# Its I3D has a pool after the first stage, which counts as a block.
PYTORCHVIDEO_POOLED = ((r'^blocks\.([3-5])\.res_blocks\.', number('blocks.{}.res_blocks.', -1)), *PYTORCHVIDEO)

PYTORCHVIDEO_OF_TWO = (
    (r'^blocks\.(\d)\.multipathway_fusion\.conv_fast_to_slow\.', r'lateral\1.'),
    (r'^blocks\.(\d)\.multipathway_fusion\.norm\.', r'norm_lateral\1.'),
    (r'^blocks\.(\d)\.multipathway_blocks\.([01])\.', lambda match: f'{PATHWAYS[match[2]]}blocks.{match[1]}.'),
    *PYTORCHVIDEO,
)

IMAGES = (NEW_HEAD, NEW_RELAY, NEW_TAM)
GREY = {'mean': (255 * 0.45,) * 3, 'std': (255 * 0.225,) * 3}
KINETICS = {
    'mean': (255 * 0.43216, 255 * 0.394666, 255 * 0.37645),
    'std': (255 * 0.22803, 255 * 0.22145, 255 * 0.216989),
}

SCHEMES = {
    'dnr': Scheme(DNR, fresh=(NEW_HEAD,)),
    'torchvision': Scheme(MOBILE, fresh=IMAGES),
    'torchvision_video': Scheme(SPLIT, pixels=KINETICS),
    'timm': Scheme((), fresh=IMAGES),
    'tsm': Scheme(AUTHORS),
    'tanet': Scheme((*AUTHORS, *TAM)),
    'tea': Scheme(TEA),
    'res2net': Scheme(TEA, fresh=(NEW_HEAD, NEW_RELAY, NEW_TEA)),
    'mmaction2': Scheme((*MMACTION2, *TAM)),
    'mmaction2_r2plus1d': Scheme(
        (*MMACTION2_SPLIT, *MMACTION2), epsilons=((r'/norm\w+_temporal/statistics/var$', 1e-3),)
    ),
    'pyslowfast': Scheme(PYSLOWFAST, pixels=GREY),
    'pyslowfast_slowfast': Scheme(PYSLOWFAST_OF_TWO, pixels=GREY),
    'pytorchvideo': Scheme(PYTORCHVIDEO, pixels=GREY),
    'pytorchvideo_i3d': Scheme(PYTORCHVIDEO_POOLED, pixels=GREY),
    'pytorchvideo_slowfast': Scheme(PYTORCHVIDEO_OF_TWO, pixels=GREY),
}
