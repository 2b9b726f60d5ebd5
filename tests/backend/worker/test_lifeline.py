"""Children that live by a pipe of their parent's, beside forks of the parent, as gunicorn makes them."""

from __future__ import annotations

import subprocess
import sys

PARENT = """
import os, signal, threading, time
from prelabel.worker.lifeline import let_go, start_child

started = []
def start():
    for _ in range(40):
        started.append(start_child(["cat"], {}))

starting = threading.Thread(target=start)
starting.start()
forks = []
while starting.is_alive() and len(forks) < 200:
    fork = os.fork()
    if fork == 0:
        time.sleep(600)
        os._exit(0)
    forks.append(fork)
try:
    starting.join(20)
    assert not starting.is_alive(), "a fork holds back the thread that starts children"
    for child in started:
        let_go(child)
    for child in started:
        child.wait(20)
finally:
    for fork in forks:
        os.kill(fork, signal.SIGKILL)
    for child in started:
        child.kill()
print(len(started), "children ended")
"""


def test_no_fork_holds_back_a_start_or_keeps_a_child_alive() -> None:
    # cat ends when nobody holds the other end of its input.
    ended = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True, timeout=120)
    assert ended.stdout == "40 children ended\n", ended.stderr
