"""What holds for the structure as a whole: its drawing is up to date, and each module has its test file."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Dict, List, Set

import pytest

from .structure import PACKAGE, ROOT, drawing, drawing_in_the_readme, sizes

TESTS = ROOT / "tests"

#: The modules without a test file of their own name, by the files that test them or the reason. When such a file is made, the
#: module is taken out of its line: a module that has a file does not belong here.
EXCEPTIONS: Dict[str, str] = {
    "they only hold a name or a call, and are tested as programs: test_package.py, server/test_cli_processes.py": """
        __main__ _late_imports _sseclient _version""",
    "the classes of errors, each in a docstring, and their texts: unit/test_errors.py": """
        errors.connection errors.own errors.root errors.run errors.status""",
    "records: unit/test_models.py, and unit/test_records.py where JSON becomes one": """
        models.assistants models.crons models.kinds models.runs models.server models.store models.threads""",
    "they hold no rule of their own, only values: wire/test_requests.py, wire/test_map.py, wire/test_streams.py": """
        http.exchange streaming.stream_config server_traits""",
    "each call on the wire: wire/test_requests.py, wire/test_answers.py, wire/test_retries.py, wire/test_time.py": """
        api.paths api.request api.runs api.select api.system api.threads
        http.body http.call_options http.transport resources.assistants resources.resource resources.run_joins resources.runs
        resources.threads""",
    "each call on the real server: server/test_store.py, server/test_crons.py, server/test_threads.py": """
        api.crons resources.crons resources.store""",
    "connections: wire/test_sharing.py, wire/test_instrumentation.py, wire/test_time.py, wire/test_interrupts.py": """
        http.connect http.connection http.pooled_response http.session_factory""",
    "proxies: wire/test_socks.py": "http.socks_handshake",
    "wire/test_adapter_retries.py": "http.adapter_retries",
    "how a run is created, once: wire/test_once.py, wire/test_batches.py, server/test_cuts.py": """
        resources.run_starts runs.create_batch runs.create_once runs.request_marker runs.start
        runs.starter""",
    "runs with an idempotency key: wire/test_idempotency.py": """
        runs.key_lookup runs.keyed_start runs.locks""",
    "how a run ends: wire/test_fake_runs.py, server/test_truth.py": "runs.wait",
    "streams and how they resume: wire/test_streams.py, wire/test_resume.py, unit/test_cursor.py": """
        streaming.connection streaming.open_stream streaming.run_stream streaming.stream_end""",
    "the events of a thread: server/test_thread_streams.py, unit/test_thread_position.py": """
        streaming.thread_stream streaming.thread_stream_config""",
    "which ends of a stream are complete: wire/test_stream_ends.py": "streaming.end_evidence",
    "maps: wire/test_map.py, server/test_map.py": """
        batch.run_map batch.scheduler""",
    "a ledger as a whole: unit/test_ledger.py": """
        batch.ledger.reader batch.ledger.source batch.ledger.sqlite_file batch.ledger.sqlite_reader batch.ledger.sqlite_store
        batch.ledger.store""",
    "files and tables as inputs: unit/test_read_table.py, unit/test_dataframes.py": """
        batch.tables.arrow batch.tables.files batch.tables.sources""",
    "a ledger in PostgreSQL, on a real server: servers/test_ledger.py": """
        batch.ledger.postgresql.connection batch.ledger.postgresql.reader batch.ledger.postgresql.schema
        batch.ledger.postgresql.owner_session batch.ledger.postgresql.statements batch.ledger.postgresql.store
        batch.ledger.postgresql.url""",
    "objects with fields, by the options that take them: unit/test_payloads.py, unit/test_json_encoder.py": "fields",
    "arguments, by the calls that check them: unit/test_payloads.py, unit/test_deadline.py, unit/test_client.py": "validation",
    "commands, as programs: wire/test_cli.py, server/test_cli.py, server/test_cli_processes.py": """
        cli.batch cli.command cli.doctor cli.foreground_run
        cli.run cli.runs cli.threads""",
    "server/test_cli_resources.py": "cli.assistants cli.crons cli.store",
    "what the commands show: unit/test_cli_console.py": "cli.watch",
    "the demo, as programs: server/test_demo.py, server/test_demo_web.py": """
        demo.graph demo.web.graph demo.web.middleware demo.web.serving demo.web.settings demo.web.urls demo.web.views""",
    "server/test_devserver.py": "devserver.child",
    "django/test_settings.py": "django.apps django.checks django.clients django.configurations",
    "a project with all of it: django/test_responses.py, django/test_resume.py": """
        django.browser_events django.stream_reader django.urls""",
    "runs as rows: django/test_agent_runs.py, django/test_agent_runs_admin.py, django/test_agent_runs_sync.py,"
    " django/test_agent_runs_project.py": """
        django.run_records django.runs.admin django.runs.apps django.runs.managers django.runs.models django.runs.outcomes
        django.runs.posting django.runs.recording django.runs.signals django.runs.statuses django.runs.stored_json django.runs.sync
        django.runs.text_fields django.runs.transitions django.runs.management.commands.langgraph_runs
        django.runs.migrations.0001_initial django.runs.migrations.0002_text_of_mysql""",
    "the fake server, beside the real one: wire/test_fake_runs.py, wire/test_fake_langgraph.py, server/test_testing.py": """
        testing.dialect testing.fake_langgraph testing.fake_resources testing.fake_run testing.fake_runs testing.run_replies
        testing.run_store""",
    "the checks of a server, on a real one: server/test_conformance.py": """
        testing.conformance.check testing.conformance.graphs testing.conformance.local_server testing.conformance.once
        testing.conformance.run testing.conformance.server testing.conformance.streams testing.conformance.trial
        testing.conformance.truth testing.conformance.ways""",
    "wire/test_cutting_proxy.py": "testing.cutting_proxy",
    "wire/test_scripted.py": "testing.loopback_server testing.replies testing.scripted",
    "unit/test_testing.py": "testing.scripts testing.server_json",
    "test_plugin.py": "testing.plugin",
    "django/test_webhooks.py": "testing.webhook_request",
}


def modules() -> List[str]:
    names = (".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))
    # The __init__ of a package exports what its modules have.
    return sorted(name for name in names if not name.endswith("__init__"))


MODULES = modules()
#: Programs and integrations: their files have the name of the package in front where the core has the same name.
_PROGRAMS = ("cli", "compat", "demo", "devserver", "django", "testing")
_CORE = Counter(name.split(".")[-1] for name in MODULES if not name.startswith(_PROGRAMS))
_PLAIN = Counter(name.split(".")[-1] for name in MODULES)


def files_for(module: str) -> Set[Path]:
    """Where the tests of a module may be: its name, with that of its package in front where two modules have the same."""
    parts = module.split(".")
    directory = TESTS / ("django" if parts[0] == "django" else "unit")
    names = ["_".join(parts), f"{parts[0]}_{parts[-1]}"]
    if (_PLAIN if parts[0] in _PROGRAMS else _CORE)[parts[-1]] == 1:
        names.append(parts[-1].lstrip("_"))
    return {directory / f"test_{name}.py" for name in names}


WITHOUT_FILE = {module for module in MODULES if not any(path.exists() for path in files_for(module))}
EXCEPTED = [module for modules in EXCEPTIONS.values() for module in modules.split()]


def test_each_module_has_a_test_file_of_its_name_or_a_reason() -> None:
    assert [] == sorted(WITHOUT_FILE - set(EXCEPTED))


def test_each_exception_is_needed() -> None:
    """Each is a module, once, and has no test file."""
    assert [] == sorted(set(EXCEPTED) - WITHOUT_FILE)
    assert sorted(set(EXCEPTED)) == sorted(EXCEPTED)


def test_the_files_that_the_exceptions_name_exist() -> None:
    named = {name for reason in EXCEPTIONS for name in re.findall(r"[\w/]+\.py", reason)}
    assert [] == sorted(name for name in named if not (TESTS / name).exists())


def test_the_drawing_in_the_readme_is_that_of_the_imports() -> None:
    """If it is not: python -m tests.structure --write."""
    assert drawing() == drawing_in_the_readme()


def test_the_sizes_are_those_of_all_modules() -> None:
    found = sizes()
    assert len(list(PACKAGE.rglob("*.py"))) == sum(size.modules for size in found.values())
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py"))
    assert lines == sum(size.lines for size in found.values())
    assert all(0 < size.code < size.lines for size in found.values())


@pytest.mark.parametrize("command", ["python -m tests.structure", "pytest tests/unit", "pytest tests/wire", "pytest -m server"])
def test_the_readme_of_the_tests_names_the_commands(command: str) -> None:
    assert command in (TESTS / "README.rst").read_text(encoding="utf-8")
