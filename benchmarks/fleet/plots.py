"""The plots of `benchmarks/README.md`: `python -m benchmarks.fleet.plots RESULTS.json DIRECTORY`."""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

_SIZE = (7.0, 3.2)
"""Inches."""
_COLORS = {"temporal": "#4c72b0", "worker": "#dd8452", "simulator": "#a0a0a0"}
_LABELS = {"temporal": "Temporal server", "worker": "worker", "simulator": "simulated cloud"}


def cpu(document: dict[str, Any]) -> Figure:
    """Return the CPU time of a Cloud PC by process, one bar for each size of a fleet."""
    fleets = [fleet for fleet in document["medians"].values() if "cpu_ms_per_cloud_pc" in fleet]
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.subplots()
    labels, left = [f"{fleet['users']:,} users" for fleet in fleets], [0.0] * len(fleets)
    for process, color in _COLORS.items():
        widths = [fleet["cpu_ms_per_cloud_pc"][process] for fleet in fleets]
        bars = axes.barh(labels, widths, left=left, color=color, label=_LABELS[process])
        axes.bar_label(bars, fmt="%.0f", label_type="center", color="white")
        left = [sum(pair) for pair in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("CPU of a Cloud PC, ms")
    axes.set_xlim(right=1.25 * max(left))
    axes.legend(loc="center right", frameon=False)
    return figure


def floors(document: dict[str, Any]) -> Figure:
    """Return the wall time of the compared fleet beside the sum of its floors, each round a mark."""
    rounds = next(rounds for rounds in document["rounds"].values() if rounds and "floor_s" in rounds[0])
    (fleet,) = (fleet for fleet in document["medians"].values() if "floor_s" in fleet)
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.subplots()
    bars = ["its floors", "product"]
    axes.barh(bars[:1], [fleet["floor_s"]], color="#4c72b0", label="workflows that do nothing")
    axes.barh(bars[:1], [fleet["bare_s"]], left=[fleet["floor_s"]], color="#55a868", label="bare script")
    axes.barh(bars[1:], [fleet["wall_s"]], color="#dd8452", label="product")
    for each in rounds:
        axes.plot([each["floor_s"] + each["bare_s"], each["wall_s"]], bars, "k|", markersize=16)
    axes.invert_yaxis()
    axes.set_xlabel(f"{fleet['users']:,} users, seconds; medians, and a mark for each round")
    axes.set_xlim(right=2 * fleet["wall_s"])
    axes.legend(loc="center right", frameon=False)
    return figure


def progress(document: dict[str, Any]) -> Figure:
    """Return how many Cloud PCs of the large fleet were there at which time, undisturbed and disturbed."""
    rounds = document["rounds"]
    disturbed = rounds["disturbed"][0]
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.subplots()
    plain = next(rounds[name][0] for name in rounds if rounds[name] and "commands_ms" in rounds[name][0])
    for fleet, label, color in ((plain, "undisturbed", "#4c72b0"), (disturbed, "disturbed", "#dd8452")):
        began = fleet["progress"][0][0]
        axes.plot(*zip(*((time - began, done) for time, done in fleet["progress"]), strict=True), color, label=label)
    began = disturbed["progress"][0][0]
    for number, kill in enumerate(disturbed["kills"]):
        axes.axvline(kill - began, color="black", linestyle=":", label=None if number else "worker killed")
    axes.axvspan(*(time - began for time in disturbed["storm"]), color="#c44e52", alpha=0.3, label="every request: 429")
    axes.set_xlabel("seconds from apply")
    axes.set_ylabel("Cloud PCs provisioned")
    axes.legend(loc="upper left", frameon=False)
    return figure


def main() -> None:
    """Draw every plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet.plots", description=__doc__)
    parser.add_argument("results", type=Path, help="document of python -m benchmarks.fleet")
    parser.add_argument("directory", type=Path, help="where the plots go")
    arguments = parser.parse_args()
    document = json.loads(arguments.results.read_text(encoding="utf-8"))
    # The same document gives the same files.
    mpl.rcParams["svg.hashsalt"] = "plots"
    for draw in (cpu, floors, progress):
        draw(document).savefig(arguments.directory / f"{draw.__name__}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
