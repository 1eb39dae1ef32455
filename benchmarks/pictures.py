"""Pictures of the records, in the looks of dnr_jax.figures."""

from pathlib import Path
from typing import Any

from dnr_jax import figures

UNITS = {'frames': 'frames of a clip', 'clips': 'clips', 'channels': 'channels', 'stride': 'frames per hop'}


def draw_growth(found: list[dict[str, Any]], path: Path) -> None:
    """Ratios of relayed norms to batch norm along each axis, with quartiles."""
    figure = figures.figure(12, 3.2)
    axes = figure.subplots(1, len(UNITS), sharey=True)
    for axis, (name, unit) in zip(axes, UNITS.items(), strict=True):
        points = sorted((record for record in found if record['axis'] == name), key=lambda record: record[name])
        for number, norms in enumerate(('cross_temporal', 'cross_layer')):
            ratios = [next(row['ratio'] for row in record['variants'] if row['norms'] == norms) for record in points]
            middle = [ratio['median'] for ratio in ratios]
            spread = [
                [ratio['median'] - ratio['low'] for ratio in ratios],
                [ratio['high'] - ratio['median'] for ratio in ratios],
            ]
            values = [record[name] for record in points]
            axis.errorbar(values, middle, spread, label=norms, capsize=3, **figures.style(number, 2))
        axis.axhline(1, color='black', linestyle=':', linewidth=0.8)
        figures.grid(axis)
        axis.set_xscale('log', base=2)
        axis.set_xticks(values, [str(value) for value in values])
        axis.set_xlabel(unit)
    axes[0].set_ylabel('time / batch norm')
    axes[0].legend(frameon=False)
    figures.save(figure, path)
