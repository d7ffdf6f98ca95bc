"""`wavegen info` and `wavegen export` for DeepLabs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from segmentation.checkpoints.content import SegmentationContent
from segmentation.checkpoints.names import find_segmenter
from segmentation.checkpoints.pretrained import KIND, Pretrained, read_pretrained
from segmentation.config import SegmentationConfig
from segmentation.network.deeplab import build_model
from wavenet_app.core.checkpoint import export_name, read_checkpoint, write_exported
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.settings import validated
from wavenet_app.core.terminal import clock, number_of, thinned

_UNSAID = 16  # any stride has the same number of parameters
_MOST_NAMES = 40  # of classes; --json has all
_MOST_ROWS = 8  # of the history


def run_deeplab_info(name: str, folder: DataFolder, *, console: Console, as_json: bool) -> None:
    """Prints the layout, shape, classes and history of a DeepLab file, ours or of another project.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    facts = describe(read_pretrained(find_segmenter(name, folder)))
    if as_json:
        console.print_json(json.dumps(facts))
    else:
        console.print(_table(facts))


def describe(pretrained: Pretrained) -> dict[str, Any]:
    """Returns what a file holds, as plain values; None for what it does not store."""
    stride = pretrained.shape.get("output_stride")
    model = pretrained.config(stride or _UNSAID)
    content = pretrained.content
    config = validated(SegmentationConfig, content["config"]) if content else None
    history = [_plain(row) for row in content.get("history", [])]
    return {
        "file": str(pretrained.path),
        "layout": pretrained.layout,
        "model": {**model.model_dump(mode="json"), "output_stride": stride},
        "atrous_rates": list(model.pyramid_rates) if stride or model.atrous_rates else None,
        "parameters": sum(parameter.numel() for parameter in build_model(model).parameters()),
        "classes": content.get("classes"),
        "raw_ids": content.get("raw_ids"),
        "normalisation": content.get("normalisation"),
        "image_scale": config.data.image_scale if config else None,
        "data": content.get("data"),
        "config": config.model_dump(mode="json") if config else None,
        "steps": history[-1]["step"] if history else None,
        "seconds": history[-1]["seconds"] if history else None,
        "best_mean_iou": max((row["validation"] for row in history if row["validation"] is not None), default=None),
        "history": history,
    }


def export_deeplab(checkpoint: str, name: str | None, folder: DataFolder) -> Path:
    """Writes a checkpoint of ours without its training state into the pretrained folder, and returns the file there.

    Of the paths of its data set and start weights only the names are kept, because the file may be shared.

    Args:
        checkpoint: what `find_segmenter` takes.
        name: last part of deeplab_v3plus_<name>.pth, or of deeplab_v3_<name>.pth; None for the run's own name.
        folder: the data folder.

    Raises:
        UserError: there is no such checkpoint, it is not ours, the name holds a slash, or the file cannot be written.
    """
    content = read_checkpoint(find_segmenter(checkpoint, folder), KIND, SegmentationContent)
    config = validated(SegmentationConfig, content["config"])
    target = folder.pretrained / f"{config.model.architecture}_{export_name(name or config.name)}.pth"
    for section, field in (("data", "dataset"), ("training", "start_from")):
        settings = content["config"][section]
        settings[field] = settings[field] and Path(settings[field]).name
    write_exported(target, KIND, content)
    return target


def _table(facts: dict[str, Any]) -> Table:
    model, data = facts["model"], facts["data"]
    rows = [
        ("layout", f"{facts['layout']}'s"),
        ("model", f"{model['architecture']} of {model['backbone']}, norm {model['norm']}"),
        ("output stride", _stride(facts)),
        ("parameters", f"{facts['parameters']:,}"),
        ("classes", _classes(facts)),
    ]
    if data is not None:
        images = number_of(data["training_images"], "image")
        rows.append(("trained on", f"{images} of {data['name']} ({data['format']})"))
        rows.append(("images seen at", f"{facts['image_scale'] or 1:.3g} of their size"))
    if facts["history"]:
        rows.append(("trained", f"{number_of(facts['steps'], 'step')} in {clock(facts['seconds'])}"))
        rows.append(("history", "\n".join(_history_lines(facts["history"]))))
    table = Table(title=facts["file"], title_justify="left", show_header=False)
    for heading, text in rows:
        table.add_row(heading, text)
    return table


def _stride(facts: dict[str, Any]) -> str:
    stride, rates = facts["model"]["output_stride"], facts["atrous_rates"]
    if stride is None:
        return "8 or 16, the file does not store it"
    return f"{stride}, rates of the pyramid {', '.join(map(str, rates))}"


def _classes(facts: dict[str, Any]) -> str:
    count, names = facts["model"]["num_classes"], facts["classes"]
    if names is None:
        return f"{count}, the file does not store their names"
    more = f" and {count - _MOST_NAMES} more" if count > _MOST_NAMES else ""
    return f"{count}: {', '.join(names[:_MOST_NAMES])}{more}"


def _history_lines(history: list[dict[str, Any]]) -> list[str]:
    return [
        f"step {row['step']:>6}  loss {row['train']:.3f}  mIoU "
        + ("-" if row["validation"] is None else f"{row['validation']:.1%}")
        for row in thinned(history, _MOST_ROWS)
    ]


def _plain(row: dict[str, float]) -> dict[str, Any]:
    """Returns a row of the history with None for NaN and infinity, which JSON does not have."""
    return {name: value if math.isfinite(value) else None for name, value in row.items()}
