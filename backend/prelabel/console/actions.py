"""What people can change by the console: each asks first, calls what the command calls, and stands in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from prelabel.console.context import Context
from prelabel.console.frame import told
from prelabel.console.guard import who
from prelabel.console.jobs import start_job
from prelabel.errors import FORESEEN, PrelabelError
from prelabel.folders import WORKER_LOCK, is_held
from prelabel.store.actions import record_action
from prelabel.store.database import StoreError
from prelabel.store.runs import get_run
from prelabel.store.versions import BASE

logger = logging.getLogger(__name__)

MOST_NAME = 64


@dataclass(frozen=True)
class Action:
    """`question`: asked before anything happens, `perform`: does it and says what was done; both are given the project
    and what it is about. `command`: does the same on the command line. `is_severe`: something is lost or taken back.
    """

    question: Callable[[int, str], str]
    perform: Callable[[Context, int, str], str]
    command: Callable[[int, str], str]
    is_severe: bool = False


def perform(context: Context, name: str, project_id: int, of: str, who: str) -> tuple[bool, str]:
    """Whether it was done, and what was done or why not, in a sentence. The log has the same, whatever happens."""
    done = False
    try:
        said = _called(name).perform(context, project_id, of)
        done = True
    except FORESEEN as error:
        said = str(error)
    except Exception as error:  # it is logged in both places
        logger.error("%s of project %s failed", name, project_id, exc_info=error)
        said = "An internal error: the server's log says why."
    try:
        record_action(context.database, who, project_id, name[:MOST_NAME], of, said)
    except StoreError as error:
        said = f"{said} It could not be written down: {error}"
    return done, said


def carry_out(context: Context, name: str, project_id: int, of: str) -> dict[str, Any]:
    """Do what this request asks for; what its page is to tell of it."""
    by = who(is_password_protected=context.settings.basic_auth is not None)
    done, said = perform(context, name, project_id, of, by)
    return told(said, "Done" if done else "Not done", done)


def _called(name: str) -> Action:
    if name not in ACTIONS:
        raise PrelabelError(f"There is no action {name!r}: load the page again.")
    return ACTIONS[name]


def _start_training(context: Context, project_id: int, _: str) -> str:
    from prelabel.worker.wake_up import request_and_wake

    run = request_and_wake(context.database, context.messages, project_id, "the console")
    said = f"Run {run.id} of project {project_id} is {run.state}."
    if is_held(context.settings.prelabel_home / WORKER_LOCK):
        return said
    return f"{said} No worker runs on this machine: `prelabel serve` or `prelabel worker` starts one."


def _cancel_run(context: Context, project_id: int, of: str) -> str:
    from prelabel.worker.supervision import cancel_run

    if get_run(context.database, _number(of)).project_id != project_id:
        raise PrelabelError(f"Run {of} is of another project.")
    run = cancel_run(context.settings, context.database, _number(of))
    return (
        f"Run {run.id} is {run.state}." if run.finished_at else f"Run {run.id} is being ended by its worker."
    )


def _roll_back(context: Context, project_id: int, of: str) -> str:
    return start_job(context.settings, project_id, "rollback", _rollback_command(project_id, of))


def _change_setting(context: Context, project_id: int, of: str) -> str:
    from prelabel.store.project_settings import set_project_setting

    name, _, value = of.partition("=")
    set_project_setting(context.database, project_id, name, value or None, "the console")
    return (
        f"{name} is {value} for this project from now on."
        if value
        else f"The environment decides {name} again."
    )


def _setting_question(project_id: int, of: str) -> str:
    name, _, value = of.partition("=")
    if value:
        return f"Let {name} be {value} for project {project_id}, from its next run or order on?"
    return f"Let the environment decide {name} for project {project_id} again?"


def _setting_command(project_id: int, of: str) -> str:
    name, _, value = of.partition("=")
    return f"prelabel settings {'set' if value else 'unset'} --project {project_id} {name} {value}".rstrip()


def _decide(decision: Literal["accepted", "dismissed"]) -> Callable[[Context, int, str], str]:
    def decide(context: Context, project_id: int, of: str) -> str:
        from prelabel.review.decisions import StoreMemory

        StoreMemory(context.database, project_id).decide(of, decision)
        return f"Finding {of} is {decision}."

    return decide


def _refresh_queue(context: Context, project_id: int, of: str) -> str:
    return start_job(context.settings, project_id, "queue", _queue_command(project_id, of))


def _review(context: Context, project_id: int, of: str) -> str:
    return start_job(context.settings, project_id, "review", _review_command(project_id, of))


def _rollback_command(project_id: int, of: str) -> list[str]:
    return ["versions", "rollback", "--project", str(project_id), of]


def _queue_command(project_id: int, of: str) -> list[str]:
    return ["queue", "refresh", "--project", str(project_id), *(["--strategy", of] if of else [])]


def _review_command(project_id: int, of: str) -> list[str]:
    return ["review", "--project", str(project_id), *(["--quick"] if of == "quick" else [])]


def _said(command: list[str]) -> str:
    return " ".join(["prelabel", *command])


def _number(of: str) -> int:
    if of.isascii() and of.isdigit() and len(of) < 10:
        return int(of)
    raise PrelabelError(f"{of!r} is no number of a run: load the page again.")


ACTIONS: dict[str, Action] = {
    "start training": Action(
        lambda project, _: f"Train project {project} on all labels that are accepted by now?",
        _start_training,
        lambda project, _: f"prelabel train --project {project}",
    ),
    "cancel run": Action(
        lambda _, of: f"Cancel run {of}? What it has learnt so far is discarded.",
        _cancel_run,
        lambda _, of: f"prelabel runs cancel {of}",
        is_severe=True,
    ),
    "roll back": Action(
        lambda project, of: (
            f"Let {'the base weights' if of == BASE else of} answer for project {project} again? "
            "Predictions of unlabelled tasks are made anew."
        ),
        _roll_back,
        lambda project, of: _said(_rollback_command(project, of)),
        is_severe=True,
    ),
    "accept finding": Action(
        lambda _, of: f"Finding {of} is right: keep it in the list until its label is corrected?",
        _decide("accepted"),
        lambda project, of: f"prelabel review --project {project} --accept {of}",
    ),
    "dismiss finding": Action(
        lambda _, of: f"Finding {of} is wrong: hide it until its label changes?",
        _decide("dismissed"),
        lambda project, of: f"prelabel review --project {project} --dismiss {of}",
    ),
    "change setting": Action(_setting_question, _change_setting, _setting_command),
    "refresh queue": Action(
        lambda project, of: (
            f"Put the unlabelled tasks of project {project} in order{f' by {of}' if of else ''}? It "
            "takes minutes where many have no prediction yet."
        ),
        _refresh_queue,
        lambda project, of: _said(_queue_command(project, of)),
    ),
    "review labels": Action(
        lambda project, _: (
            f"Look through the accepted labels of project {project} for ones that seem wrong? It takes "
            "minutes."
        ),
        _review,
        lambda project, of: _said(_review_command(project, of)),
    ),
}
