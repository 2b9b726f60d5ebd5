"""The command line: one module per command or group of commands; heavy imports wait until a command runs."""

import os

import typer

from prelabel.cli import (
    annotate,
    changes,
    classify,
    connect,
    demo,
    doctor,
    evaluate,
    label_config,
    predict,
    projects,
    queue,
    review,
    runs,
    serve,
    settings,
    simulate,
    stats,
    train,
    versions,
    weights,
    worker,
)

app = typer.Typer(
    help="Pre-annotate boxes and masks in Label Studio.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(projects.app, name="projects")
app.add_typer(settings.app, name="settings")
app.add_typer(weights.app, name="weights")
app.add_typer(runs.app, name="runs")
app.add_typer(queue.app, name="queue")
app.add_typer(versions.app, name="versions")
for command in (
    serve.serve,
    worker.worker,
    connect.connect,
    annotate.annotate,
    doctor.doctor,
    stats.stats,
    changes.changes,
    review.review,
    train.train,
    predict.predict,
    label_config.label_config,
    classify.classify,
    evaluate.evaluate,
    simulate.simulate,
    demo.demo,
):
    app.command()(command)


def main() -> None:
    """Run the `prelabel` command."""
    # Waiting OpenMP threads must sleep: spinning, they slow the network twentyfold beside a busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    app()
