"""A Celery application whose queue and results are files. As a program: sends a task for each call and prints the results.

The worker is another process: ``celery -A tests.hosts.celery_app worker``. Its clients are made when it imports this module, which
for the prefork pool is before it forks.
"""

from __future__ import annotations

import json
import os
from typing import Any

from celery import Celery

from .probes import CALLS, from_environment

DIRECTORY_VARIABLE = "TEST_HOSTS_CELERY_DIRECTORY"
#: Seconds for one task.
LIMIT = 60.0

_directory = os.environ[DIRECTORY_VARIABLE]
PROBE = from_environment()

app: Any = Celery("tests.hosts.celery_app", broker="filesystem://", backend=f"file://{_directory}/results")
app.conf.update(
    broker_transport_options={
        "data_folder_in": f"{_directory}/queue",
        "data_folder_out": f"{_directory}/queue",
        "control_folder": f"{_directory}/control",
    },
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="call")  # type: ignore[untyped-decorator]
def call(name: str) -> str:
    return PROBE.run(name)


@app.task(name="wait_for_silence")  # type: ignore[untyped-decorator]
def wait_for_silence(seconds: float) -> str:
    """Block in a call until its timeout."""
    try:
        PROBE.silent.ok(timeout=seconds)
    except TimeoutError as error:
        return type(error).__name__
    return "no error"


def main() -> None:
    tasks = {name: call.delay(name) for name in CALLS}
    print(json.dumps({name: task.get(timeout=LIMIT) for name, task in tasks.items()}))


if __name__ == "__main__":
    main()
