"""`prelabel review`: labels that look wrong, in a project or in COCO files; and what people decide about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from prelabel.cli.coco_files import ANNOTATIONS, IMAGES, Strict, labelled_images
from prelabel.cli.common import PROJECT, errors_in_one_sentence, fail
from prelabel.ids import LARGEST_ID

if TYPE_CHECKING:
    from prelabel.labelstudio.api.client import LabelStudioClient
    from prelabel.review.decisions import Memory
    from prelabel.review.findings import ReviewFinding
    from prelabel.review.judges import OnStep
    from prelabel.review.review import Review, ReviewOptions

# Labels and file names are anybody's; brackets in them are no markup.
console = Console(markup=False, highlight=False, soft_wrap=True)

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())


def review(
    project: Annotated[
        int | None,
        typer.Option(min=1, max=LARGEST_ID, help=PROJECT),
    ] = None,
    coco: Annotated[
        Path | None,
        typer.Option("--coco", help=f"Review COCO files instead of a project. {ANNOTATIONS}"),
    ] = None,
    images: Annotated[Path | None, typer.Option("--images", help=IMAGES)] = None,
    strict: Strict = False,
    weights: Annotated[
        str, typer.Option(help="With --coco: name or file of weights that were not trained on these images.")
    ] = "starter",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write findings.json, findings.csv and review.html to.")
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="Number of findings to print; the files have all.")] = 20,
    least: Annotated[
        float,
        typer.Option(
            "--min-confidence", min=0, max=1, help="Lowest confidence of the findings that are reported."
        ),
    ] = 0.3,
    quick: Annotated[
        bool, typer.Option(help="Review without training: of a project, only the held-out images.")
    ] = False,
    predictions: Annotated[
        bool, typer.Option(help="Review the predictions of unlabelled tasks, too.")
    ] = False,
    write_back: Annotated[
        bool,
        typer.Option(help="Show the findings in Label Studio: two columns and a tab of the Data Manager."),
    ] = True,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            help="Id of a finding that is right: it stays until its label is corrected; repeatable."
        ),
    ] = None,
    dismiss: Annotated[
        list[str] | None,
        typer.Option(
            help="Id of a finding that is wrong: it stays away until its label changes; repeatable."
        ),
    ] = None,
) -> None:
    """Find labels that look wrong to models that were not trained on them. No annotation is changed."""
    if (project is None) == (coco is None) or (coco is None and images is not None):
        fail("give either --project, or --coco and --images")
    decisions = {**dict.fromkeys(accept or [], "accepted"), **dict.fromkeys(dismiss or [], "dismissed")}
    with errors_in_one_sentence(), _unwritable_in_one_sentence():
        from prelabel.review.review import ReviewOptions

        options = ReviewOptions(quick, predictions, least)
        if project is not None:
            _review_project(project, options, decisions, out, top, write_back)
        elif coco is not None:
            _review_coco(coco, images, strict, weights, options, decisions, out, top)


def _review_project(
    project: int,
    options: ReviewOptions,
    decisions: dict[str, str],
    out: Path | None,
    top: int,
    write_back: bool,
) -> None:
    from prelabel.labelstudio.api.client import label_studio_client
    from prelabel.review.decisions import StoreMemory
    from prelabel.review.review import review_project
    from prelabel.review.write_back import write_findings
    from prelabel.settings import load_settings
    from prelabel.store.database import Database

    settings = load_settings()
    database, client = Database.open(settings.database_url), label_studio_client(settings)
    memory = StoreMemory(database, project)
    if decisions:
        findings = _decide(memory, decisions)
    else:
        with _progress() as on_step:
            found = review_project(settings, database, client, project, options, on_step)
        _report(found, out, top, lambda finding: _task_address(client, project, finding))
        findings = found.findings
    if write_back:
        changed = write_findings(client, project, findings)
        console.print(f'The tab "prelabel: check" is up to date; {changed} tasks got other columns.')


def _review_coco(
    coco: Path,
    images: Path | None,
    strict: bool,
    weights: str,
    options: ReviewOptions,
    decisions: dict[str, str],
    out: Path | None,
    top: int,
) -> None:
    import tempfile

    from fbnetv3.finetuning import FineTuningSettings
    from fbnetv3.weights import load_checkpoint
    from prelabel.review.decisions import FolderMemory
    from prelabel.review.review import review_coco

    if decisions:
        if out is None:
            fail("--accept and --dismiss need --out, the folder of the review that found it")
        _decide(FolderMemory(out), decisions)
        return
    with (
        tempfile.TemporaryDirectory(prefix="prelabel-review-") as work,
        labelled_images(coco, images, strict) as labelled,
    ):
        memory, start = FolderMemory(out or Path(work)), load_checkpoint(weights)
        folds = Path(work) / "folds"
        with _progress() as on_step:
            found = review_coco(
                labelled, coco.name, start, memory, folds, FineTuningSettings(), options, on_step
            )
        _report(found, out, top, lambda finding: None)


def _decide(memory: Memory, decisions: dict[str, str]) -> list[ReviewFinding]:
    """Remember decisions; the findings that are left."""
    for finding_id, decision in decisions.items():
        memory.decide(finding_id, "accepted" if decision == "accepted" else "dismissed")
        console.print(f"{finding_id} is {decision}")
    known = memory.recall().values()
    return [one.finding for one in known if one.is_current and one.decision != "dismissed"]


def _report(
    found: Review, out: Path | None, top: int, link_of: Callable[[ReviewFinding], str | None]
) -> None:
    from prelabel.review.files import write_review

    for line in found.by:
        console.print(f"{line}.")
    for note in found.notes:
        console.print(f"note: {note}", style="yellow")
    if found.findings and top:
        console.print(_table(found.findings[:top]), soft_wrap=False)
    rest = len(found.findings) - top
    more = f" {rest} more are in the files." if rest > 0 and out else ""
    console.print(f"{len(found.findings)} findings in {found.judged} images.{more}")
    if out:
        with _progress() as on_step:
            total, done = len(found.findings), iter(range(1, len(found.findings) + 1))
            files = write_review(found, out, link_of, lambda: on_step("pictures", next(done), total))
        for file in files:
            console.print(f"wrote {file}")


def _table(findings: list[ReviewFinding]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in ("finding", "sure", "kind", "where", "what to do", "regions"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "sure" else "left")
    for one in findings:
        title = f"{one.title}, accepted" if one.decision else one.title
        regions = " ".join(one.regions)
        table.add_row(one.id, f"{one.confidence:.2f}", title, one.image_ref.name, one.correction, regions)
    return table


def _task_address(client: LabelStudioClient, project: int, finding: ReviewFinding) -> str | None:
    task = finding.image_ref.task
    return f"{client.url}/projects/{project}/data?task={task}" if task is not None else None


@contextmanager
def _progress() -> Iterator[OnStep]:
    """A bar for each stage."""
    with Progress(*COLUMNS, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        yield show


@contextmanager
def _unwritable_in_one_sentence() -> Iterator[None]:
    """A file that cannot be written ends the command in one sentence."""
    try:
        yield
    except OSError as error:
        fail(f"cannot write {error.filename}: {error.strerror}")
