"""A child process that ends with its parent, however that one ends: it reads a pipe that its parent holds open.

A fork of the parent, as gunicorn makes them, would hold that pipe too, and one that came while a child is started would
hold back the thread that starts it, for as long as the fork lives. So no fork comes then, and forks close the pipes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO

STOP_SECONDS = 5.0
"""Between asking a process to end and ending it: what it loses then, it takes up again from disk."""


_starting_or_forking = threading.Lock()
_children: list[subprocess.Popen[bytes]] = []
"""Whose pipes this process holds."""


def _begin_as_fork() -> None:
    """In a fork: the children are its parent's."""
    while _children:
        let_go(_children[0])
    _starting_or_forking.release()


os.register_at_fork(
    before=_starting_or_forking.acquire,
    after_in_parent=_starting_or_forking.release,
    after_in_child=_begin_as_fork,
)


def start_child(
    command: Sequence[str], environment: Mapping[str, str], output: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process that calls `end_with_parent`, in a group of its own: Ctrl-C reaches only its parent.

    The group, not a session: a session of its own would take part in automatic process grouping, under which
    Linux ignores the niceness. `output`: takes what it prints; None: where its parent's goes.
    """
    with _starting_or_forking:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            process_group=0,
        )
        _children.append(process)
    return process


def end_with_parent() -> None:
    """End this process, without a further word, as soon as its parent is gone."""
    threading.Thread(target=_watch, args=(sys.stdin.fileno(),), name="lifeline", daemon=True).start()


def _watch(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def stop_child(process: subprocess.Popen[bytes]) -> None:
    """Ask the child to end, then end it and what is left of its group."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    kill_group(process)
    process.wait()
    let_go(process)


def let_go(process: subprocess.Popen[bytes]) -> None:
    """Close this process's end of the pipe that the child lives by. To be called when the child has ended."""
    if process in _children:
        _children.remove(process)
    if process.stdin:
        process.stdin.close()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End the child and the processes that it started, those that outlived it too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
