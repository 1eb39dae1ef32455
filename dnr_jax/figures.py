"""How pictures look: colours that every eye tells apart, frames of clips, numbers of hops; and how they are written.

Figures are made without pyplot, whose backend belongs to the notebook or script that draws beside us.
"""

import textwrap
import warnings

import numpy as np

from dnr_jax.files import AnyPath, written_whole

COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000', '#888888')
MARKERS = 'osD^vP*X'


def figure(width: float | int, height: float | int):
    """An empty figure of so many inches; `save` writes it."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout='constrained')


def title(figure, text: str) -> None:
    """Above the whole figure, in as many lines as its width takes; none is cut off."""
    drawn, letters = figure.suptitle(text, fontsize='medium'), max(map(len, text.split('\n')))
    while drawn.get_window_extent().width > figure.bbox.width and letters > 1:
        letters = letters * 9 // 10
        drawn.set_text('\n'.join(textwrap.fill(line, letters, break_on_hyphens=False) for line in text.split('\n')))


def style(number: int, of: int) -> dict:
    """Colour and marker of one of so many curves; where they are too many to tell apart, they shade in their order."""
    if of <= len(COLOURS):
        return {'color': COLOURS[number], 'marker': MARKERS[number]}
    from matplotlib import colormaps

    return {'color': colormaps['viridis'](number / (of - 1)), 'marker': MARKERS[number % len(MARKERS)]}


def grid(axis, along: str = 'both') -> None:
    """Light lines behind what is drawn."""
    axis.grid(axis=along, alpha=0.3)
    axis.set_axisbelow(True)


def apart(number: int, of: int, room: float) -> float:
    """How far to the side of its place the points of one of so many curves stand, lest one hide another."""
    return room * ((number + 0.5) / of - 0.5)


def ticks(hops: int) -> range:
    """Numbers from 1, few enough to be read."""
    return range(1, hops + 1, -(-hops // 8))


def show_frames(axis, clip: np.ndarray) -> None:
    """The frames of a clip, uint8 [T H W C], side by side."""
    axis.imshow(np.concatenate(clip, axis=1))
    axis.set_axis_off()


def save(figure, path: AnyPath) -> None:
    """Writes it as a PNG, whole or not at all; letters that the font lacks are boxes."""
    _take_literally(figure)
    with written_whole(path) as unfinished, warnings.catch_warnings():
        warnings.filterwarnings('ignore', r'Glyph \d+')
        figure.savefig(unfinished, dpi=130, format='png')


def pixels(figure) -> np.ndarray:
    """The picture as it would be written, uint8 [H W 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    _take_literally(figure)
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', r'Glyph \d+')
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _take_literally(figure) -> None:
    """Names may hold '$': what is written is no formula, but for the powers that matplotlib writes along an axis."""
    from matplotlib.text import Text
    from matplotlib.ticker import LogFormatter

    axes = (axis for part in figure.axes for axis in (part.xaxis, part.yaxis))
    of_powers = (axis for axis in axes if isinstance(axis.get_major_formatter(), LogFormatter))
    numbers = {label for axis in of_powers for label in axis.get_ticklabels(which='both')}
    for text in figure.findobj(Text):
        if text not in numbers:
            text.set_parse_math(False)
