"""Every code block of README.rst and every example in a docstring runs and gives what it shows."""

from __future__ import annotations

import configparser
import contextlib
import doctest
import importlib
import importlib.util
import inspect
import io
import os
import pkgutil
import re
import shutil
import types
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

import langgraph_runs
from langgraph_runs import Client, RetryPolicy, errors
from langgraph_runs.cli import program
from langgraph_runs.devserver import DevServer, unavailable_reason
from langgraph_runs.resources.assistants import AssistantsClient
from langgraph_runs.resources.runs import RunsClient
from langgraph_runs.resources.threads import ThreadsClient

from .readme import README, ROOT, Block, blocks

AGENT = Path(__file__).with_name("docs_agent.py")
#: The server that README.rst talks to; its examples are run on one of ours, in its place.
URL = "http://localhost:2024"

DJANGO = importlib.util.find_spec("django") is not None
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django.settings")  # for whoever looks at a module that uses them

#: Modules whose docstrings are not run, and why.
NOT_IMPORTED = {
    "langgraph_runs.__main__": "is the program itself",
    "langgraph_runs.devserver.child": "is a script of the server's process",
    "langgraph_runs.demo.graph": "is imported by the server's process only",
    "langgraph_runs.demo.web.graph": "is imported by the server's process only",
}
#: Modules that are there for those who have Django.
OF_DJANGO = ("langgraph_runs.django", "langgraph_runs.demo.web")
#: Literal blocks in docstrings that are not run, and why.
NOT_RUN = {
    "langgraph_runs.errors": "the tree of the errors, no code",
    "langgraph_runs.devserver.server.DevServer": "starts a server; README.rst has the same example, which runs",
}
#: Public classes whose docstrings show no example, and why.
NO_EXAMPLE = {"RunStream": "there is none without a server; README.rst has several"}


# -- README.rst: what its blocks do


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))
def test_every_python_block_of_the_readme_runs_and_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From top to bottom, in one namespace, as a reader would run them."""
    for variable in ("LANGGRAPH_API_KEY", "LANGSMITH_API_KEY", "LANGCHAIN_API_KEY", "MY_KEY"):
        monkeypatch.delenv(variable, raising=False)
    shutil.copy(AGENT, tmp_path / "my_agent.py")
    monkeypatch.chdir(tmp_path)
    namespace: Dict[str, Any] = {"__name__": "readme"}
    with DevServer(graphs={"agent": "my_agent.py:graph"}) as server, contextlib.ExitStack() as site:
        for block in blocks("python"):
            check_shown(block, run(block, namespace, server.url))
            take_up(namespace, site)
        namespace["client"].close()


def take_up(namespace: Dict[str, Any], site: contextlib.ExitStack) -> None:
    """Django works with what stands on the page for settings.py and urls.py, from then on."""
    found: Dict[str, Any] = {}
    if "LANGGRAPH_RUNS" in namespace:
        found["LANGGRAPH_RUNS"] = namespace.pop("LANGGRAPH_RUNS")
    if "urlpatterns" in namespace:
        found["ROOT_URLCONF"] = types.ModuleType("readme_urls")
        found["ROOT_URLCONF"].urlpatterns = namespace.pop("urlpatterns")
    if found:
        importlib.import_module("django").setup()
        site.enter_context(importlib.import_module("django.test").override_settings(**found))


def run(block: Block, namespace: Dict[str, Any], url: str) -> str:
    """What the block prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block.source().replace(URL, url), str(README), "exec", dont_inherit=True), namespace)
    return out.getvalue()


def check_shown(block: Block, printed: str) -> None:
    """``...`` stands for anything. A block that shows nothing prints nothing."""
    shown = "\n".join(block.shown)
    same = doctest.OutputChecker().check_output(shown, printed.rstrip("\n"), doctest.ELLIPSIS)
    assert same, f"README.rst, line {block.line}, shows\n\n{shown}\n\nand prints\n\n{printed}"


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: f"line {block.line}")
def test_every_python_block_is_python(block: Block) -> None:
    compile(block.source(), str(README), "exec", dont_inherit=True)


# -- README.rst: what it promises


def test_every_block_has_a_language_that_is_tested() -> None:
    languages = re.findall(r"^\.\. code-block::(.*)$", README.read_text(encoding="utf-8"), re.MULTILINE)

    assert {"console", "python", "sh"} == {language.strip() for language in languages}
    assert len(languages) == len(blocks("console")) + len(blocks("python")) + len(blocks("sh"))


def test_the_commands_are_those_that_are_run() -> None:
    """By .ci/run, from the extras and the entry point of setup.cfg; the chat by tests/server/test_demo_web.py."""
    commands = [block.text.strip() for block in blocks("sh")]
    assert commands == [
        'pip install ".[server]" && langgraph-runs demo',
        'pip install ".[server,django]" && langgraph-runs demo --web',
        'pip install ".[test]" && pytest',
    ]

    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    assert {"server", "django", "test"} <= set(config["options.extras_require"])
    assert "langgraph-runs = langgraph_runs.cli:main" in config["options.entry_points"]["console_scripts"]
    assert "demo" in {command.name for command in program.COMMANDS}
    pipeline = ROOT / ".ci" / "run"
    if pipeline.exists():  # not in an unpacked wheel
        steps = pipeline.read_text(encoding="utf-8").replace(" -q", "")
        assert 'pip install ".[test]" && pytest' in steps
        assert re.search(r"\[server\].*\n.*langgraph-runs\W* demo", steps)


def methods(cls: type) -> List[str]:
    return [name for name, _ in inspect.getmembers(cls, inspect.isfunction) if not name.startswith("_")]


CALLS = [
    *(f"client.runs.{name}(" for name in methods(RunsClient)),
    *(f"client.threads.{name}(" for name in methods(ThreadsClient)),
    *(f"client.assistants.{name}(" for name in methods(AssistantsClient)),
    *(f"client.{name}(" for name in methods(Client) if name != "close"),
]


@pytest.mark.parametrize("call", CALLS)
def test_every_call_has_an_example(call: str) -> None:
    assert any(call in block.text for block in blocks("python"))


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name.endswith("Error")])
def test_every_error_is_explained(name: str) -> None:
    assert f"``{name}``" in README.read_text(encoding="utf-8")


def test_every_argument_of_client_and_retry_policy_is_explained() -> None:
    text = README.read_text(encoding="utf-8")
    arguments = [*inspect.signature(Client).parameters, *inspect.signature(RetryPolicy).parameters]

    assert [] == [name for name in arguments if not re.search(rf"\b{name}\b", text)]


def test_the_readme_is_valid_for_a_package_index() -> None:
    core = pytest.importorskip("docutils.core", reason="docutils is not installed; .ci/run has twine check the same")
    warnings = io.StringIO()
    settings = {"warning_stream": warnings, "report_level": 1, "raw_enabled": False, "file_insertion_enabled": False}
    core.publish_doctree(README.read_text(encoding="utf-8"), settings_overrides=settings)

    assert "" == warnings.getvalue()


def test_no_line_of_the_readme_is_too_long_to_read() -> None:
    lines = README.read_text(encoding="utf-8").split("\n")

    assert [] == [f"line {number}" for number, line in enumerate(lines, 1) if len(line) > 132]
    assert [] == [block.line for block in blocks("python") for line in block.text.split("\n") if len(line) > 110]


# -- docstrings


def module_names() -> Iterator[str]:
    yield "langgraph_runs"
    for module in pkgutil.walk_packages(langgraph_runs.__path__, "langgraph_runs."):
        if module.name not in NOT_IMPORTED and (DJANGO or not module.name.startswith(OF_DJANGO)):
            yield module.name


@pytest.mark.parametrize("name", sorted(module_names()))
def test_the_examples_in_docstrings_give_what_they_show(name: str) -> None:
    module = importlib.import_module(name)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(test, out=report.write)

    assert (0, report.getvalue()) == (runner.failures, "")


def docstrings() -> Iterator[Tuple[str, str]]:
    for name in module_names():
        module = importlib.import_module(name)
        yield name, module.__doc__ or ""
        for key, value in vars(module).items():
            if not inspect.isclass(value) and not inspect.isfunction(value) or value.__module__ != name:
                continue
            yield f"{name}.{key}", getattr(value, "__doc__", None) or ""
            if inspect.isclass(value):
                for inner, function in vars(value).items():
                    yield f"{name}.{key}.{inner}", getattr(function, "__doc__", None) or ""


def test_every_literal_block_in_a_docstring_is_known() -> None:
    """Code that is not a doctest is not run: it needs a reason."""
    found = {name for name, text in docstrings() if re.search(r"::\n\n? +\S", text)}

    assert set(NOT_RUN) == found


def test_every_public_class_has_an_example_that_runs() -> None:
    classes = [name for name in langgraph_runs.__all__ if inspect.isclass(getattr(langgraph_runs, name))]

    assert list(NO_EXAMPLE) == [name for name in classes if ">>> " not in (getattr(langgraph_runs, name).__doc__ or "")]


@pytest.mark.parametrize("cls", [RunsClient, ThreadsClient, AssistantsClient, Client])
def test_every_call_is_documented(cls: type) -> None:
    assert [] == [name for name in methods(cls) if not inspect.getdoc(getattr(cls, name))]


@pytest.mark.parametrize("name", ["create", "wait", "stream", "join", "join_stream"])
def test_help_shows_every_option_and_what_it_means(name: str) -> None:
    method = getattr(RunsClient, name)
    keywords = [p.name for p in inspect.signature(method).parameters.values() if p.kind is p.KEYWORD_ONLY]

    assert "timeout" in keywords
    assert [] == [keyword for keyword in keywords if not re.search(rf"\*?\b{keyword}\b", inspect.getdoc(method) or "")]
