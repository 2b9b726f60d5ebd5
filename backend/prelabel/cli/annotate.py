"""`prelabel annotate`: predictions for the tasks of a Label Studio project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from prelabel.cli.common import (
    ProjectId,
    console,
    errors_in_one_sentence,
    open_project,
    print_problems,
    progress_bar,
    settings_or_fail,
    stoppable,
    warn,
)

if TYPE_CHECKING:
    from prelabel.publish.annotate import Summary


def annotate(
    project: ProjectId,
    stale_only: Annotated[
        bool,
        typer.Option(
            "--stale-only",
            help="Only tasks with a prediction of another version of prelabel, or one that failed.",
        ),
    ] = False,
    labelled: Annotated[bool, typer.Option("--all", help="Include labelled tasks.")] = False,
    batch_size: Annotated[
        int, typer.Option(min=1, max=500, help="Tasks that are predicted and pushed together.")
    ] = 8,
    replace: Annotated[
        list[str] | None,
        typer.Option(
            help="Version whose predictions to replace as well, if prelabel here has no record of it; repeatable."
        ),
    ] = None,
) -> None:
    """Predict the tasks that have no prediction of the serving version, and delete outdated predictions.

    Ctrl-C loses nothing: the next run continues from there.
    """
    settings = settings_or_fail()
    with errors_in_one_sentence():
        from prelabel.labelstudio.config.project import read_project
        from prelabel.publish.annotate import annotate_project
        from prelabel.publish.shown_version import notes_after

        client, predictor, own = open_project(settings, project, replace or (), provisional=True)
        console.print(f"Predicting with {predictor.version}.")
        with stoppable(), progress_bar() as show:
            summary = annotate_project(
                client,
                predictor,
                read_project(client, project),
                own,
                stale_only=stale_only,
                include_labelled=labelled,
                batch_size=batch_size,
                on_progress=show,
            )
        _print_summary(summary)
        warn(notes_after(client, project, predictor.version, own))


def _print_summary(summary: Summary) -> None:
    console.print(f"Tasks with a new prediction: {summary.pushed}", style="green")
    counts = {
        "Tasks that had one of this version": summary.current,
        "Labelled tasks, left alone (--all takes them too)": summary.labelled,
        "Tasks without a stale prediction, left alone": summary.unasked,
        "Stale predictions removed": summary.removed,
        "Tasks without a prediction because something failed": summary.failed,
    }
    for what, number in counts.items():
        if number:
            console.print(f"{what}: {number}")
    print_problems(summary.problems)
    warn(summary.left_out)
