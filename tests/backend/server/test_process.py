"""The server as people start it: processes, signals, ports, and callers who hang up."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from serving import CONFIG, captured, free_port, metric_value, png

HERE = Path(__file__).parents[1]
SERVE = [sys.executable, "-c", "import typer; from prelabel.cli.serve import serve; typer.run(serve)"]
WITHOUT_MODEL = """
from fbnetv3.weights import WeightsError
from prelabel.server import process
from prelabel.settings import load_settings
def fail(settings, features):
    raise WeightsError("there is no model in this test")
process._load = fail
process.serve(load_settings())
"""
TOKEN = "a-token-that-no-log-may-hold"


@contextmanager
def running(command: list[str], home: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command with its output in `home`/log; stopped at the end."""
    variables = {
        **os.environ,
        "PRELABEL_HOME": str(home),
        "PRELABEL_WEIGHTS": "nowhere.safetensors",
        "LABEL_STUDIO_API_KEY": TOKEN,
        **environment,
    }
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def log_of(home: Path) -> str:
    """What a `running` command has written so far."""
    return (home / "log").read_text()


def wait_for(url: str, seconds: float, **wanted: Any) -> dict[str, Any]:
    """The JSON at `url` as soon as it has the wanted fields."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            answer = ask("GET", url).json()
            if wanted.items() <= answer.items():
                return dict(answer)
        except requests.ConnectionError:
            pass
        time.sleep(0.05)
    pytest.fail(f"{url} did not say {wanted} within {seconds} s")


def ask(method: str, url: str, **options: Any) -> requests.Response:
    """A request past any proxy that the environment names."""
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, timeout=10, **options)


def test_the_server_answers_while_its_model_loads_and_says_when_that_fails(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running([*SERVE, "--port", str(port)], tmp_path, PRELABEL_WEIGTHS="coco") as server:
        first = wait_for(f"{url}/health", 30, status="UP")
        assert first["state"] == "loading"
        assert ask("POST", f"{url}/webhook", json=captured("webhook_PROJECT_UPDATED")).status_code == 201
        wait_for(f"{url}/health", 60, state="failed")
        answer = ask("POST", f"{url}/setup", json=captured("connect_2_setup"))
        assert answer.status_code == 503
        assert answer.reason.startswith("The model could not be loaded: nowhere.safetensors cannot be read")
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    log = log_of(tmp_path)
    assert "PRELABEL_WEIGTHS is not a setting of prelabel" in log
    assert f"listens on http://127.0.0.1:{port}" in log
    assert "nowhere.safetensors cannot be read" in log
    assert "Traceback" not in log
    assert TOKEN not in log
    with sqlite3.connect(tmp_path / "prelabel.sqlite3") as store:
        assert store.execute("SELECT action FROM webhook_events").fetchall() == [("PROJECT_UPDATED",)]


def test_several_workers_start_on_one_new_store(tmp_path: Path) -> None:
    port = free_port()
    with running([sys.executable, "-c", WITHOUT_MODEL], tmp_path, PORT=str(port), WORKERS="3"):
        wait_for(f"http://127.0.0.1:{port}/health", 30, state="failed")
        deadline = time.monotonic() + 20
        while log_of(tmp_path).count("there is no model in this test") < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert "Traceback" not in log_of(tmp_path)


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with running([*SERVE, "--port", str(port)], tmp_path) as server:
            assert server.wait(30) == 1
    said = f"port {port} of 127.0.0.1 cannot be listened on (Address already in use); change PORT or HOST"
    assert log_of(tmp_path) == f"error: {said}\n"


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        (["--port", "0"], {}, "PORT is '0' but must be greater than or equal to 1"),
        ([], {"THREADS": "many"}, "THREADS is 'many' but must be a valid integer"),
        (["--host", "no.such.host.invalid"], {}, "cannot be listened on"),
        ([], {"PRELABEL_DATABASE_URL": "sqlite:////proc/none/x.db"}, "cannot be opened"),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    tmp_path: Path, options: list[str], environment: dict[str, str], said: str
) -> None:
    with running([*SERVE, *options], tmp_path, **{"PORT": str(free_port()), **environment}) as server:
        assert server.wait(30) == 1
    (line,) = log_of(tmp_path).splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_serving_starts_without_the_heavy_imports() -> None:
    """torch and Label Studio's SDK take seconds: they come with the model, after the port answers."""
    heavy = {"torch", "label_studio_sdk", "matplotlib", "tensorboard"}
    code = f"import sys, prelabel.server.process; print({heavy} & sys.modules.keys())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_a_caller_who_hangs_up_ends_the_work_and_others_are_answered_meanwhile(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    image = "data:image/png;base64," + b64encode(png((50, 0, 0))).decode()
    tasks = [{"id": number, "data": {"image": image}} for number in range(60)]
    body = {"tasks": tasks, "project": "1.1", "label_config": CONFIG}

    def give_up_soon() -> None:
        with pytest.raises(requests.Timeout):
            requests.Session().post(f"{url}/predict", json=body, timeout=1, proxies={"http": ""})

    with running([sys.executable, str(HERE / "slow_server.py"), str(port), str(tmp_path)], tmp_path):
        wait_for(f"{url}/health", 60, state="ready")
        caller = threading.Thread(target=give_up_soon)
        started = time.monotonic()
        caller.start()
        waits = []
        while caller.is_alive():
            waits.append(ask("GET", f"{url}/health").elapsed.total_seconds())
        assert sorted(waits)[len(waits) // 2] < 1
        hung_up = 'prelabel_requests_total{method="POST",route="/predict",status="499"}'
        while not metric_value(ask("GET", f"{url}/metrics").text, hung_up):
            assert time.monotonic() - started < 20, "all 60 tasks take 30 s"
            time.sleep(0.1)
