"""Prediction tables of a work directory -> the report on rotated digits."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfp_ood import atomic
from tfp_ood.errors import EvaluationError
from tfp_ood.reporting import html
from tfp_ood.rotated import plots, predictions
from tfp_ood.rotated.config import RotatedConfig
from tfp_ood.rotated.summary import LABELS, Tables, drawn, rotated_outcome, summarize
from tfp_ood.workdir import WorkDir, open_workdir, weights_id

_TITLE = "Digits turned upside down: who is certain, and wrong?"

_HOW_TO_READ = """<ul>
<li>All networks were trained on upright digits. Turned ones are something they have never seen: a
classifier that knew what it does not know would spread its probability over classes.</li>
<li><b>Areas</b>: the probability of each class at each angle. The digit&rsquo;s own class is gray,
at the bottom; the others are coloured and numbered where they are the likeliest. The dotted line
is 0.9.</li>
<li><b>Entropy</b> of these probabilities, in nats: 0 is certainty, log&nbsp;10&nbsp;=&nbsp;2.30 no
idea at all. For variants with several networks or draws it is that of their average.</li>
<li>Which digits are drawn, and which test image of each, is set in the config
(<code>data.digits</code>, <code>data.digit_index</code>: by default the first of the test split);
all turned images together are counted below. A 9 turned by 180 degrees <i>is</i> a 6: there the
&ldquo;wrong&rdquo; class is right, and the count leaves 6 and 9 out.</li>
<li><b>Plain softmax</b> is one LeNet with weight decay; the <b>deep ensemble</b> is that one and
others from other seeds; <b>MC dropout</b> keeps dropping units when it predicts; <b>Flipout</b>
has an independent Gaussian for every weight; <b>multiplicative flows</b> (Louizos &amp; Welling,
2017) multiply the means of those by noise out of a normalizing flow, so that weights depend on
each other.</li>
</ul>"""

_ASKED = ("digits", "num_rotated", "num_angles", "num_test")
"""What predictions of turned digits say of `config.data`."""

# Column -> what of a variant's entry in the summary stands there.
_TURNED_CELLS = {
    "wrong class at 0.9 or more": "{share_confidently_wrong_all:.1%}",
    "mean entropy, nats": "{mean_entropy_all:.2f}",
}
_NETWORK_CELLS = {
    "networks": "{num_networks}",
    "parameters": "{num_parameters:,}",
    "epochs": "{num_epochs}",
    "draws": "{num_draws}",
    "training, s": "{train_seconds:,.0f}",
}


def write_report(
    workdir: str | os.PathLike[str],
    variants: Sequence[str],
    digit_index: int,
    config: RotatedConfig | None = None,
) -> html.ReportResult:
    """Writes WORKDIR/report/: index.html, summary.json, and every figure as .png and .pdf.

    Reads only WORKDIR/predictions, and which networks are in WORKDIR/model.

    Args:
      workdir: of the run.
      variants: which to show, "softmax" among them.
      digit_index: which image of each digit was drawn.
      config: whose settings are listed on the page; the tables have to be of them.

    Raises:
      EvaluationError: a table is missing or damaged, they do not fit together, or were made with
        other settings.
    """
    workdir = open_workdir(workdir)
    rotated, sets = (
        {v: predictions.read(predictions.table_path(workdir.root, v, kind)) for v in variants}
        for kind in ("rotated", "sets")
    )
    for table in (*rotated.values(), *sets.values()):
        _check_weights(table, workdir)
    for table in (*rotated.values(), *sets.values()):
        _check_networks(table, workdir)
    if config is not None:
        _check_config(config, rotated, sets)
    pictures = predictions.read_pictures(workdir.root, [one.metadata for one in rotated.values()])
    summary = summarize(rotated, sets, digit_index)
    outcome = rotated_outcome(summary)
    folder = workdir.report
    figures = [
        _digit_figure(drawn(rotated, int(digit), digit_index), turned, digit, folder)
        for digit, turned in zip(summary["digits"], pictures[:, digit_index], strict=True)
    ]
    networks = "The ensemble's first network is the plain softmax one"
    sections = [
        *figures,
        html.section("How to read this", _HOW_TO_READ),
        html.section("Certain, and wrong", _ranges_table(summary)),
        html.section("All turned digits", _turned_part(summary, folder)),
        html.section("Foreign images", _sets_part(sets, summary, folder)),
        html.section("Networks", _variants_table(networks, summary["variants"], _NETWORK_CELLS)),
        html.config_section(config),
    ]
    atomic.write_json(workdir.summary, summary)
    return html.write(folder, _TITLE, outcome, sections)


def _check_weights(table: predictions.Predictions, workdir: WorkDir) -> None:
    """Refuses predictions of networks that were trained again since.

    Raises:
      EvaluationError: names the network.
    """
    for name, weights in table.metadata["weights"].items():
        current = weights_id(workdir.model / name)
        if current and current != weights:  # tables alone can be read
            raise EvaluationError(
                f"The predictions in {workdir.root / predictions.PICTURES.parent} are older than "
                f"the network {name}, which was trained again. Run --mode=evaluate, which makes "
                "them again."
            )


def _check_networks(table: predictions.Predictions, workdir: WorkDir) -> None:
    """Refuses predictions of networks that are gone, as where their training begins again.

    Raises:
      EvaluationError: names the network.
    """
    for name in table.metadata["weights"]:
        if workdir.model.exists() and weights_id(workdir.model / name) is None:
            raise EvaluationError(
                f"The predictions in {workdir.root / predictions.PICTURES.parent} are of a network "
                f"{name}, which is not in {workdir.model}. Run --mode=train, which trains it, and "
                "then --mode=evaluate."
            )


def _check_config(config: RotatedConfig, rotated: Tables, sets: Tables) -> None:
    """Refuses predictions that were made with other settings than those that the page will show.

    Raises:
      EvaluationError: names the first setting that differs.
    """
    data = config.data
    now = {f"data.{name}": getattr(data, name) for name in _ASKED}
    now |= {"evaluate.num_draws": config.evaluate.num_draws}
    now |= {"data.out_of_distribution": data.out_of_distribution}
    for of_rotated, of_sets in zip(rotated.values(), sets.values(), strict=True):
        was = {f"data.{name}": of_rotated.metadata[name] for name in _ASKED}
        was |= {"evaluate.num_draws": of_rotated.metadata["num_draws"]}
        was |= {"data.out_of_distribution": [name for name, *_ in of_sets.metadata["sets"][1:]]}
        for key, value in json.loads(json.dumps(now)).items():
            if value != was[key]:
                raise EvaluationError(
                    f"The predictions were made with other settings (config.{key} was {was[key]}, "
                    f"now {value}); run --mode=evaluate first, which makes them again."
                )


def _digit_figure(one: Tables, pictures: np.ndarray, digit: str, folder: pathlib.Path) -> str:
    """The figure of one digit, as HTML."""
    figure = plots.digit_figure(one, pictures, int(digit))
    index = one["softmax"].keys["index"][0]
    caption = f"Test image {index}, a {digit}, turned by 0 to 180 degrees."
    alt = f"Class probabilities of a turned {digit} under each variant, and their entropies"
    return html.drawn("rotated", figure, folder / f"digit_{digit}", alt, caption)


def _ranges_table(summary: Mapping[str, Any]) -> str:
    """Every range of angles in which the plain network is certain of a wrong class."""
    variants = summary["variants"]
    header = ["Digit", "degrees", "called", "largest probability", *(LABELS[v] for v in variants)]
    rows = [
        [
            digit,
            html.Html(f"{found['from_angle']:.0f}&ndash;{found['to_angle']:.0f}"),
            ", ".join(map(str, found["classes"])),
            f"{found['largest_probability']:.3f}",
            *(f"{found['mean_entropy'][v]:.2f}" for v in variants),
        ]
        for digit, entry in summary["digits"].items()
        for found in entry["confidently_wrong"]
    ]
    caption = (
        "Ranges of angles where plain softmax gives a wrong class 0.9 or more, and the mean "
        "entropy (nats) of every variant there"
    )
    return html.table(caption, header, rows, "metrics")


def _turned_part(summary: Mapping[str, Any], folder: pathlib.Path) -> str:
    figure = plots.turned_figure(summary)
    turned = summary["turned"]
    digits = ", ".join(map(str, turned["digits"]))
    caption = f"{turned['num_images']} test images of the digits {digits}, at every angle."
    alt = "Share of confidently wrong predictions, and mean entropy, against the angle"
    table = _variants_table("Over all angles", turned["variants"], _TURNED_CELLS)
    return html.drawn("turned", figure, folder / "turned", alt, caption) + table


def _sets_part(sets: Tables, summary: Mapping[str, Any], folder: pathlib.Path) -> str:
    figure = plots.entropy_figure(sets, summary)
    caption = (
        "Cumulative curves of the predictive entropy. On the networks' own set they should rise at "
        "the left, on foreign sets as far to the right as possible."
    )
    header, rows = ["Variant"], [[LABELS[v]] for v in summary["variants"]]
    for entry in summary["sets"].values():
        label = entry["label"]
        is_in_set = "accuracy" in entry["variants"]["softmax"]
        header += [f"{label}: entropy", f"{label}: {'accuracy' if is_in_set else 'AUROC'}"]
        for row, values in zip(rows, entry["variants"].values(), strict=True):
            row.append(f"{values['mean_entropy']:.3f}")
            row.append(f"{values['accuracy']:.1%}" if is_in_set else f"{values['auroc']:.3f}")
    table = html.table("Mean entropy (nats), and what it tells apart", header, rows, "metrics")
    return (
        html.drawn("entropy", figure, folder / "entropy", "Cumulative curves of entropy", caption)
        + table
    )


def _variants_table(caption: str, entries: Mapping[str, Any], cells: Mapping[str, str]) -> str:
    rows = [
        [LABELS[variant], *(cell.format(**entry) for cell in cells.values())]
        for variant, entry in entries.items()
    ]
    return html.table(caption, ["Variant", *cells], rows, "metrics")
