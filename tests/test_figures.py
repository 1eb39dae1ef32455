import warnings

import numpy as np
import pytest

from dnr_jax import figures
from dnr_jax.evaluation import scores

NAMES = ['cost $5 and $6', '$x_{', '$$', '走る', 'é 👍', '\\frac{a}']


def test_names_are_drawn_as_they_are(tmp_path):
    figure = figures.figure(4, 3)
    axis = figure.subplots()
    axis.set_xticks(range(6), NAMES)
    axis.set(title=NAMES[1], xlabel=NAMES[0], yscale='log')
    axis.plot([1, 200], label=NAMES[1])
    axis.legend()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        figures.save(figure, tmp_path / 'names.png')
        scores.draw_confusion(tmp_path / 'confusion.png', np.eye(6, dtype=int), NAMES, NAMES[1])
    assert [label.get_text() for label in axis.get_xticklabels()] == NAMES
    assert not any(label.get_parse_math() for label in axis.get_xticklabels())
    assert all(label.get_parse_math() for label in axis.get_yticklabels())  # powers of ten


def test_curves_stand_side_by_side():
    assert [figures.apart(number, 4, 0.8) for number in range(4)] == pytest.approx([-0.3, -0.1, 0.1, 0.3])
    assert figures.apart(0, 1, 0.8) == 0


@pytest.mark.parametrize('width', [3, 7, 24])
@pytest.mark.parametrize('text', ['top-1 88.3%, ' * 12, 'runs/' * 40, 'W' * 90, 'A: one\nB: other'])
def test_titles_are_not_cut_off(width, text):
    figure = figures.figure(width, 3)
    figure.subplots()
    figures.title(figure, text)
    figure.canvas.draw()
    (title,) = figure.texts
    box, page = title.get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 and box.x1 <= page.x1 and box.y1 <= page.y1
    assert ''.join(title.get_text().split()) == ''.join(text.split())
