"""`wavegen eval` from request to report."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from fast_gen.evaluation.evaluate import evaluate
from fast_gen.evaluation.page import write_report
from fast_gen.evaluation.report import EvalReport
from fast_gen.evaluation.subject import EvalRequest
from fast_gen.evaluation.view import render
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import make_folder
from wavenet_app.core.options import make_console


def run_eval(
    request: EvalRequest, folder: DataFolder, *, console: Console, as_json: bool, page: Path | None, began: float
) -> EvalReport:
    """Measures a model, prints the table or JSON, and writes the page.

    Args:
        request: what to measure.
        folder: the data folder.
        console: for the table or the JSON, and nothing else.
        as_json: JSON instead of a table.
        page: the file of the page, or None.
        began: when the command began, on the clock of `time.monotonic`.

    Raises:
        UserError: the checkpoint or the audio is missing, a setting is invalid, or the page cannot be written.
    """
    if page is not None:
        if page.is_dir():
            raise UserError(f"--report takes a file, and {page} is a folder")
        make_folder(page.parent)
    aside = make_console(stderr=True)  # progress must not get into the JSON
    report, sound = evaluate(request, folder, aside, began)
    if as_json:
        console.print_json(report.to_json())
    else:
        console.print(render(report))
    if page is not None:
        measured = time.monotonic()
        write_report(page, report, sound)
        took = time.monotonic() - measured
        aside.print(f"page: {page} (made in {took:.0f} s)", highlight=False, soft_wrap=True)
    return report
