"""`prelabel doctor`: what is wrong between the settings and the predictions that annotators see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from prelabel.cli.common import BackendUrl, ProjectId, console, fail
from prelabel.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from prelabel.connect.doctor import CheckedLink

STATUS_STYLE = {"ok": "green", "warning": "yellow", "broken": "bold red", "not checked": "dim"}


def doctor(project: ProjectId, url: BackendUrl = None) -> None:
    """Check every link from the settings to the predictions that annotators see, and say how to mend a broken one."""
    try:
        settings = load_settings()
    except SettingsError as error:
        fail(f"settings: {error}")
    from prelabel.connect.doctor import Examination, Status, examine

    broken = 0
    for finding in examine(Examination(settings, project, url)):
        _print_finding(finding)
        broken += finding.status is Status.BROKEN
    if broken:
        fail(f"{broken} of the links above {'is' if broken == 1 else 'are'} broken; begin with the first.")


def _print_finding(finding: CheckedLink) -> None:
    line = Text(f"{finding.status:<12}", STATUS_STYLE[finding.status])
    console.print(line.append(f"{finding.link:<18}", "bold").append(finding.detail, "default"))
    if finding.remedy:
        console.print(f"{'':<12}-> {finding.remedy}")
