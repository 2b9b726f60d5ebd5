"""What people are told of a version: every figure and choice, by its name, for the command line and the console."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prelabel.settings import Settings
from prelabel.store.database import Database
from prelabel.store.provisional import ProvisionalVersion, is_provisional
from prelabel.versions.provisional import named_provisional
from prelabel.versions.records import Version, file_problem, named_version

if TYPE_CHECKING:
    from fbnetv3.judging import HeadJudgement, ImageOutcome

FIGURES = {
    "images": "images",
    "box AP50": "box_AP50",
    "mask AP50": "mask_AP50",
    "no edit": "no_edit_share",
    "false": "false_positives_per_image",
}
"""Heading -> field of a Judgement: what the gate looks at, measured on the hold-out. They fit into 80 columns."""


def described(settings: Settings, database: Database, name: str) -> dict[str, str]:
    """Everything known of a version of either kind, a line each. Raises VersionError where there is none."""
    if is_provisional(name):
        return _provisional_description(named_provisional(database, name))
    version = named_version(database, name)
    return _description(version, file_problem(settings, version))


def _provisional_description(version: ProvisionalVersion) -> dict[str, str]:
    return {
        "version": version.name,
        "state": "provisional, until the first promotion; no run made it, and no gate judged it",
        "made": f"{version.created_at:%Y-%m-%d %H:%M} UTC",
        "weights": f"a head of {version.sha256[:12]} on the base weights {version.base}",
        "made from": f"{version.images} labelled images ({version.made_from[:12]})",
        "labels": ", ".join(version.labels),
    }


def made_of(version: ProvisionalVersion) -> str:
    """Of how many images a provisional version was made, and when."""
    images = "1 labelled image" if version.images == 1 else f"{version.images} labelled images"
    return f"made of {images} at {version.created_at:%Y-%m-%d %H:%M} UTC"


def figures_of(version: Version) -> dict[str, str]:
    """The figures under their headings."""
    return {
        heading: number_in_words(getattr(version.judgement.objects, name, None))
        for heading, name in FIGURES.items()
    }


def judged_choices(version: Version) -> Sequence[HeadJudgement]:
    """The figures of each choice."""
    choices = version.judgement.choices
    return choices.heads if choices else ()


def right_choices(version: Version) -> float | None:
    """The share of answers on the hold-out that needed no click; None where there were none."""
    heads = judged_choices(version)
    images = sum(head.images for head in heads)
    return sum(head.accuracy * head.images for head in heads) / images if images else None


def _choices(version: Version) -> dict[str, str]:
    """What `show` says of choices: which it answers, and how well."""
    answered = version.plan.choices.classes if version.plan.choices else {}
    rows = {f"choice {name}": ", ".join(classes) for name, classes in answered.items()}
    for head in judged_choices(version):
        rows[f"{head.name}: no click"] = f"{head.accuracy:.3f} of {head.images} images"
        rows[f"{head.name}: clicks"] = (
            f"{head.clicks_per_image:.2f} per image, {head.clicks_without:.2f} without"
        )
    return rows


def number_in_words(value: Any) -> str:
    """A figure with three digits, "-" where it is not known."""
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def counts_in_words(counts: ImageOutcome) -> str:
    """What became of the objects of a label in the images that judged a version."""
    return (
        f"{counts.objects} objects, {counts.found} found, {counts.no_edit} need no edit, "
        f"{counts.false_positives} false regions"
    )


def _threshold(of_label: tuple[str, float]) -> str:
    label, threshold = of_label
    return f"{label} {threshold:g}" if threshold <= 1 else f"{label} never"


def _description(version: Version, problem: str | None) -> dict[str, str]:
    """What `show` says, a line each. `problem`: with the version's files."""
    facts = {
        "version": version.name,
        "state": version.state,
        "made": f"{version.created_at:%Y-%m-%d %H:%M} UTC",
        "run": "-" if version.run_id is None else str(version.run_id),
        "weights": version.digest if version.sha256 else f"{version.digest}, not kept",
        "snapshot": version.snapshot_digest,
        "labels": ", ".join(version.labels),
        "reason": version.reason,
    }
    if problem:
        facts["state"] += ", but the base weights answer in its place" if version.state == "serving" else ""
        facts["weights"] += f", but {problem}"
    if version.plan.thresholds:
        facts["shown from score"] = ", ".join(map(_threshold, version.plan.thresholds.items()))
    if judged := version.judgement.objects:
        facts |= {f"label {label}": counts_in_words(counts) for label, counts in judged.by_label.items()}
    rest = replace(version.plan, choices=None, thresholds={})
    plan = {f"plan: {key}": str(value) for key, value in rest.as_dict().items()}
    return facts | figures_of(version) | _choices(version) | plan
