"""Every code block of README.rst and of the chapters, and every example in a docstring, runs and gives what it shows."""

from __future__ import annotations

import ast
import configparser
import contextlib
import doctest
import functools
import importlib
import importlib.util
import inspect
import io
import logging
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import types
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set, Tuple

import pytest

import langgraph_runs
from langgraph_runs import Client, RetryPolicy, errors
from langgraph_runs.cli import program
from langgraph_runs.devserver import DevServer, unavailable_reason
from langgraph_runs.resources.assistants import AssistantsClient
from langgraph_runs.resources.crons import CronsClient
from langgraph_runs.resources.runs import RunsClient
from langgraph_runs.resources.store import StoreClient
from langgraph_runs.resources.threads import ThreadsClient

from .django.database import database_in
from .django.setup import set_up
from .readme import CHAPTERS, DOCUMENTS, README, ROOT, Block, Document, all_blocks, logging_restored
from .test_layers import LAYERS

AGENT = Path(__file__).with_name("docs_agent.py")
#: The server of the examples; the tests put the URL of a server of their own in its place.
URL = "http://localhost:2024"

DJANGO = importlib.util.find_spec("django") is not None
if DJANGO:
    set_up()  # models can be imported only after it

#: The command that starts a server for the examples.
START_SERVER = """\
python -i -c 'from langgraph_runs.devserver import DevServer
server = DevServer({"agent": "tests/docs_agent.py:graph"}, port=2024).start()'"""
#: All that is written for readers, documents without code to run included.
TEXTS = [*DOCUMENTS, Document(ROOT / "CHANGELOG.rst"), Document(ROOT / "tests" / "README.rst")]
#: Modules whose docstrings are not run, and why.
NOT_IMPORTED = {
    "langgraph_runs.__main__": "is the program itself",
    "langgraph_runs.devserver.child": "is a script of the server's process",
    "langgraph_runs.demo.graph": "is imported by the server's process only",
    "langgraph_runs.demo.web.graph": "is imported by the server's process only",
    "langgraph_runs.testing.conformance.graphs": "is imported by the server's process only",
}
#: Modules that need Django.
OF_DJANGO = ("langgraph_runs.django", "langgraph_runs.demo.web")
#: Literal blocks in docstrings that are not run, and why.
NOT_RUN = {
    "langgraph_runs.errors": "the tree of the errors, no code",
    "langgraph_runs.devserver.server.DevServer": "starts a server; langgraph_runs/testing/README.rst has the same example, which runs",
}
#: Literal blocks in documents, by the document, and what runs them; no other block is one.
LITERAL_BLOCKS = {
    "langgraph_runs/batch/README.rst": ["tests/servers/test_ledger.py"]
    + ["tests/server/test_recipes.py"] * 3
    + ["tests/servers/test_engines.py", "tests/server/test_recipes.py"]
    + ["tests/servers/test_engines.py"] * 2,
    "langgraph_runs/cli/README.rst": ["tests/server/test_cli_processes.py"],
    "langgraph_runs/django/README.rst": [
        "nothing: JavaScript of a page",
        "nothing: the server's configuration; tests/server/conftest.py gives it to a server as arguments",
        "tests/django/test_agent_runs_project.py",
        "tests/test_plugin.py",
    ],
}
#: Words of private meaning, or of a tone that a reference does not have.
NOT_WRITTEN = (
    "told errand errands crew sweep sweeper litter brake patience somebody whoever nobody ours theirs lie lies gone riddle"
)
#: Public classes whose docstrings show no example, and why.
NO_EXAMPLE = {
    "RunStream": "there is none without a server; README.rst and the chapters have several",
    "ThreadStream": "there is none without a server; resources/README.rst has one",
}


# -- documents: what their blocks do


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """The server that the documents share, those in other processes too; each of them works on threads of its own."""
    from .server.shared import shared_server  # needs Linux or macOS, as the server does

    with shared_server("documents", lambda: DevServer({"agent": f"{AGENT}:graph"}), tmp_path_factory) as server:
        yield server


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))
@pytest.mark.parametrize("document", [document for document in DOCUMENTS if document.blocks("python")], ids=str)
def test_every_python_block_runs_and_prints_what_it_shows_and_logging_is_restored_afterwards(
    document: Document, server: DevServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From top to bottom, in one namespace for each document, as a reader would run them."""
    for variable in ("LANGGRAPH_API_KEY", "LANGSMITH_API_KEY", "LANGCHAIN_API_KEY", "MY_KEY"):
        monkeypatch.delenv(variable, raising=False)
    shutil.copy(AGENT, tmp_path / "my_agent.py")
    monkeypatch.chdir(tmp_path)
    with database_in(tmp_path / "rows.sqlite3") if DJANGO else contextlib.nullcontext():
        run_document(document, server.url)


def run_document(document: Document, url: str) -> None:
    """Run its Python blocks, compare what they print, and restore what they change outside of their namespace."""
    namespace: Dict[str, Any] = {"__name__": "document"}
    with logging_restored(), contextlib.ExitStack() as stack:
        stack.callback(close_clients, namespace)
        for block in document.blocks("python"):
            check_shown(block, run(block, namespace, url))
            use_django_settings(namespace, stack)


def close_clients(namespace: Dict[str, Any]) -> None:
    for value in namespace.values():
        if isinstance(value, Client):
            value.close()


def use_django_settings(namespace: Dict[str, Any], stack: contextlib.ExitStack) -> None:
    """Let Django work with what the document shows for settings.py and urls.py, until the end of the document."""
    found: Dict[str, Any] = {}
    if "LANGGRAPH_RUNS" in namespace:
        found["LANGGRAPH_RUNS"] = namespace.pop("LANGGRAPH_RUNS")
    if "urlpatterns" in namespace:
        found["ROOT_URLCONF"] = types.ModuleType("document_urls")
        found["ROOT_URLCONF"].urlpatterns = namespace.pop("urlpatterns")
    if found:
        importlib.import_module("django.core.management").call_command("migrate", verbosity=0)
        stack.enter_context(importlib.import_module("django.test").override_settings(**found))


def run(block: Block, namespace: Dict[str, Any], url: str) -> str:
    """What the block prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block.source().replace(URL, url), block.document, "exec", dont_inherit=True), namespace)
    return out.getvalue()


def check_shown(block: Block, printed: str) -> None:
    """``...`` stands for any text. A block that shows nothing prints nothing."""
    shown = "\n".join(block.shown)
    same = doctest.OutputChecker().check_output(shown, printed.rstrip("\n"), doctest.ELLIPSIS)
    assert same, f"{block.place}, shows\n\n{shown}\n\nand prints\n\n{printed}"


def test_a_log_level_that_a_document_sets_is_restored_after_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The levels, handlers and switches of loggers that exist and of loggers that the document makes."""
    monkeypatch.setattr("tests.readme.ROOT", tmp_path)
    code = """
        .. code-block:: python

           import logging

           logging.basicConfig(level=logging.DEBUG, force=True)
           logging.getLogger("langgraph_runs").setLevel(logging.INFO)
           logging.getLogger("langgraph_runs").addHandler(logging.NullHandler())
           logging.getLogger("a_logger_of_this_document").setLevel(logging.DEBUG)
           logging.getLogger("a_logger_of_this_document").propagate = False
           logging.disable(logging.ERROR)
           print(logging.getLogger("langgraph_runs").level, logging.getLogger("a_logger_of_this_document").level)
           # -> 20 10
    """
    (tmp_path / "README.rst").write_text(textwrap.dedent(code), encoding="utf-8")
    loggers = [logging.getLogger("langgraph_runs"), logging.getLogger()]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    assert logging.INFO != loggers[0].level

    run_document(Document(tmp_path / "README.rst"), URL)

    assert before == [(logger.level, list(logger.handlers)) for logger in loggers]
    made = logging.getLogger("a_logger_of_this_document")
    assert (logging.NOTSET, True) == (made.level, made.propagate)
    assert logging.NOTSET == logging.Logger.manager.disable


@pytest.mark.parametrize("block", all_blocks("python"), ids=lambda block: block.place)
def test_every_python_block_is_python(block: Block) -> None:
    compile(block.source(), block.document, "exec", dont_inherit=True)


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_block_has_a_language_that_is_tested(document: Document) -> None:
    """Python blocks are run here, console blocks by tests/server/test_cli_readme.py, commands by .ci/run or as benchmarks."""
    languages = re.findall(r"^\.\. code-block::(.*)$", document.text, re.MULTILINE)

    assert set() == {language.strip() for language in languages} - {"console", "python", "sh"}
    assert len(languages) == sum(len(document.blocks(language)) for language in ("console", "python", "sh"))
    assert len(LITERAL_BLOCKS.get(document.name, [])) == len(document.blocks(""))


def test_the_commands_are_those_that_are_run() -> None:
    """By .ci/run, from the extras and the entry point of setup.cfg; the chat by tests/server/test_demo_web.py."""
    commands = [block.text.strip() for block in README.blocks("sh")]
    assert commands == [
        'pip install ".[server]" && langgraph-runs demo',
        'pip install ".[test]" && pytest',
        'pip install ".[server,demo]" && langgraph-runs demo --web',
        START_SERVER,
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


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.skipif(unavailable_reason() is not None, reason=str(unavailable_reason()))
def test_the_command_for_the_examples_opens_a_prompt_with_a_server() -> None:
    """On a free port, in place of the one that is shown, which another program may use."""
    command = START_SERVER.replace("python", shlex.quote(sys.executable), 1).replace("port=2024", "port=0")
    check = "from langgraph_runs import Client; print(Client(server.url).runs.wait(None, 'agent', input={'messages': 'Why?'}))\n"
    done = subprocess.run(command, shell=True, cwd=ROOT, input=check, capture_output=True, text=True, timeout=120, check=False)

    assert "Because the Earth turns" in done.stdout, done.stderr
    assert 0 == done.returncode


def benchmarks() -> Dict[str, List[str]]:
    """The options of each benchmark that a document shows, by its module."""
    found: Dict[str, List[str]] = {}
    for document in DOCUMENTS:
        for module, options in re.findall(r"python -m (tests\.bench(?:\.\w+)?)((?: [-\w.]+)*)", document.text):
            found.setdefault(module, []).extend(re.findall(r"--[-\w]+", options))
    return found


@pytest.mark.parametrize("module", benchmarks())
def test_every_benchmark_that_a_document_shows_exists_and_has_the_options(module: str) -> None:
    command = [sys.executable, "-m", module, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert 0 == done.returncode, done.stderr
    assert set() == set(benchmarks()[module]) - set(re.findall(r"--[-\w]+", done.stdout))


def test_the_commands_of_a_chapter_are_benchmarks() -> None:
    commands = [line for chapter in CHAPTERS.values() for block in chapter.blocks("sh") for line in block.text.splitlines()]

    assert [] == [line for line in commands if not line.startswith("python -m tests.bench")]


# -- documents: what they hold


def methods(cls: type) -> List[str]:
    return [name for name, _ in inspect.getmembers(cls, inspect.isfunction) if not name.startswith("_")]


CALLS = [
    *(f"client.runs.{name}(" for name in methods(RunsClient)),
    *(f"client.threads.{name}(" for name in methods(ThreadsClient)),
    *(f"client.assistants.{name}(" for name in methods(AssistantsClient)),
    *(f"client.crons.{name}(" for name in methods(CronsClient)),
    *(f"client.store.{name}(" for name in methods(StoreClient)),
    *(f"client.{name}(" for name in methods(Client) if name != "close"),
]


@pytest.mark.parametrize("call", CALLS)
def test_every_call_has_an_example(call: str) -> None:
    assert any(call in block.text for block in all_blocks("python"))


@pytest.mark.parametrize("call", CALLS)
def test_the_readme_lists_every_call(call: str) -> None:
    name = call[:-1].rsplit(".", 1)[1]
    assert re.search(rf"\b{name}\b", README.text)


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name.endswith("Error")])
def test_every_error_is_explained(name: str) -> None:
    assert f"``{name}``" in README.text


def test_every_argument_of_client_and_retry_policy_is_explained() -> None:
    text = "".join(document.text for document in DOCUMENTS)
    arguments = [*inspect.signature(Client).parameters, *inspect.signature(RetryPolicy).parameters]

    assert [] == [name for name in arguments if not re.search(rf"\b{name}\b", text)]


def test_the_layers_in_the_readme_are_those_that_are_tested() -> None:
    """Each row of the README is one or more lines of the complete table, in the same order; a row may leave names out."""
    lines = [line.split() for line in LAYERS.split("\n")]
    rows = [names.split() for names in re.findall(r"^``([a-z ]+)``", README.table("packages"), re.MULTILINE)]
    places = [[number for name in row for number, line in enumerate(lines) if name in line] for row in rows]

    assert [len(row) for row in rows] == [len(place) for place in places]
    assert all(max(above) < min(below) for above, below in zip(places, places[1:]))


@pytest.mark.parametrize("document", TEXTS, ids=str)
def test_a_document_uses_no_private_words(document: Document) -> None:
    words = set(re.findall(r"[a-z]+", document.text.lower()))

    assert set() == words & set(NOT_WRITTEN.split())


def test_the_readme_has_at_most_500_lines() -> None:
    assert len(README.text.splitlines()) <= 500


def test_the_readme_names_every_chapter() -> None:
    assert [] == [chapter.name for chapter in CHAPTERS.values() if f"``{chapter.name}``" not in README.text]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_a_document_names_only_files_that_exist(document: Document) -> None:
    named = set(re.findall(r"``((?:langgraph_runs|tests|\.ci)/[\w./]+)``", document.text))

    assert [] == sorted(name for name in named if not (ROOT / name).exists())


@pytest.mark.parametrize("document", TEXTS, ids=str)
def test_a_document_is_valid_for_a_package_index(document: Document) -> None:
    core = pytest.importorskip("docutils.core", reason="docutils is not installed; .ci/run has twine check README.rst")
    warnings = io.StringIO()
    settings = {"warning_stream": warnings, "report_level": 1, "raw_enabled": False, "file_insertion_enabled": False}
    core.publish_doctree(document.text, settings_overrides=settings)

    assert "" == warnings.getvalue()


@pytest.mark.parametrize("document", TEXTS, ids=str)
def test_no_line_of_a_document_is_too_long_to_read(document: Document) -> None:
    lines = document.text.split("\n")

    assert [] == [f"line {number}" for number, line in enumerate(lines, 1) if len(line) > 132]
    assert [] == [block.line for block in document.blocks("python") for line in block.text.split("\n") if len(line) > 110]


# -- docstrings


def module_names() -> Iterator[str]:
    yield "langgraph_runs"
    for module in pkgutil.walk_packages(langgraph_runs.__path__, "langgraph_runs."):
        if module.name not in NOT_IMPORTED and (DJANGO or not module.name.startswith(OF_DJANGO)):
            yield module.name


class Finder(doctest.DocTestFinder):
    """Finds the examples of a class in the module that defines it: public classes name the package as their module."""

    def _from_module(self, module: Any, object: Any) -> bool:
        if inspect.isclass(object):
            return is_defined_in(module, object)
        return bool(super()._from_module(module, object))  # type: ignore[misc]


def is_defined_in(module: types.ModuleType, cls: type) -> bool:
    """True if the source of *module* has the class, or the class around it."""
    return cls.__module__.startswith("langgraph_runs") and cls.__qualname__.split(".")[0] in classes_in(module)


@functools.cache
def classes_in(module: types.ModuleType) -> Set[str]:
    return {node.name for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.ClassDef)}


@pytest.mark.parametrize("name", sorted(module_names()))
def test_the_examples_in_docstrings_give_what_they_show(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # an example leaves nothing elsewhere
    module = importlib.import_module(name)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in Finder(exclude_empty=True).find(module, name):
        runner.run(test, out=report.write)

    assert (0, report.getvalue()) == (runner.failures, "")


def docstrings() -> Iterator[Tuple[str, str]]:
    for name in module_names():
        module = importlib.import_module(name)
        yield name, module.__doc__ or ""
        for key, value in vars(module).items():
            if inspect.isclass(value):
                defined_here = is_defined_in(module, value)
            else:
                defined_here = inspect.isfunction(value) and value.__module__ == name
            if not defined_here:
                continue
            yield f"{name}.{key}", getattr(value, "__doc__", None) or ""
            if inspect.isclass(value):
                for inner, function in vars(value).items():
                    if type(function).__module__.startswith("django."):
                        continue  # the descriptor of a model's field
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
