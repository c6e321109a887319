"""The package as a whole: its exports, the modules that importing it imports, and the files that are packed with it."""

from __future__ import annotations

import configparser
import importlib
import importlib.util
import json
import pkgutil
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any, List
from urllib.parse import urlsplit

import pytest

import langgraph_runs

from .readme import DOCUMENTS

PACKAGE = Path(langgraph_runs.__file__).resolve().parent
CHECKOUT = PACKAGE.parent


def fresh(code: str, *arguments: str) -> Any:
    """What a fresh interpreter prints as JSON."""
    done = subprocess.run(
        [sys.executable, *arguments, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False
    )
    assert "" == done.stderr
    return json.loads(done.stdout)


def test_all_is_sorted_complete_and_importable() -> None:
    """Every name that the package imports for its users is in ``__all__``, once, in order, and nothing else is."""
    names = list(langgraph_runs.__all__)
    assert sorted(names) == names
    assert len(set(names)) == len(names)
    submodules = {module.name for module in pkgutil.iter_modules([str(PACKAGE)])}
    public = {name for name in vars(langgraph_runs) if not name.startswith(("_", "@"))} - submodules  # @: pytest's own
    assert public | {"__version__"}.union(*langgraph_runs._LATE.values()) == set(names)


def test_lazily_imported_names_are_names_like_the_others() -> None:
    """They are listed by ``dir()`` and imported by their first use; an unknown name raises AttributeError."""
    code = """
import json, sys, langgraph_runs
listed = sorted(set(langgraph_runs.__all__) - set(dir(langgraph_runs)))
before = "langgraph_runs.batch.ledger.reader" in sys.modules
from langgraph_runs import Ledger
same = Ledger is langgraph_runs.Ledger is sys.modules["langgraph_runs.batch.ledger.reader"].Ledger
try:
    langgraph_runs.Legder
except AttributeError as error:
    message = str(error)
print(json.dumps([listed, before, same, message]))
"""
    assert [[], False, True, "module 'langgraph_runs' has no attribute 'Legder'"] == fresh(code)


def test_star_import_gives_the_names_in_all() -> None:
    """It defines the names in ``__all__`` and no other."""
    space: dict[str, Any] = {}
    exec("from langgraph_runs import *", space)
    assert set(langgraph_runs.__all__) == set(space) - {"__builtins__"}


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules([str(PACKAGE)]) if module.name != "_serve"])
def test_what_a_module_exports_exists(name: str) -> None:
    """Each name in a module's ``__all__`` is there, and each module imports by itself."""
    if name == "__main__":
        return
    if name == "django":
        pytest.importorskip("django")
    module = importlib.import_module(f"langgraph_runs.{name}")
    assert [] == [exported for exported in getattr(module, "__all__", ()) if not hasattr(module, exported)]


def test_public_classes_have_docstrings_and_public_modules() -> None:
    """Each has a docstring, and names the package as its module."""
    for name in langgraph_runs.__all__:
        item = getattr(langgraph_runs, name)
        if isinstance(item, type):
            assert item.__doc__, name
            assert "langgraph_runs" == item.__module__, name


def test_the_package_is_typed() -> None:
    """py.typed is there, and is among the files that are packed."""
    assert (PACKAGE / "py.typed").is_file()
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    assert "py.typed" in config["options.package_data"]["langgraph_runs"].split()


def test_files_that_are_not_python_are_packed() -> None:
    """Each such file in the package is among those that setup.cfg names, and each name there finds one."""
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    named = {pattern: set(PACKAGE.glob(pattern)) for pattern in config["options.package_data"]["langgraph_runs"].split()}
    there = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc", ".pyo")}
    assert there == set().union(*named.values())
    assert [] == [pattern for pattern, found in named.items() if not found]


def test_project_urls_link_every_chapter() -> None:
    """Each address ends with the path of a file of the checkout."""
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    links = [line.split(" = ", 1) for line in config["metadata"]["project_urls"].splitlines() if line]
    paths = {urlsplit(url).path.lstrip("/") for _, url in links}

    assert [] == [label for label, _ in links if len(label) > 32]  # a package index accepts no longer one
    assert {"CHANGELOG.rst", *(document.name for document in DOCUMENTS)} == paths


@pytest.mark.slow
def test_the_source_distribution_and_the_wheel_contain_the_documentation(tmp_path: Path) -> None:
    """README.rst and CHANGELOG.rst, the chapters, and in the wheel the chapters of the package."""
    pytest.importorskip("setuptools", reason="setuptools is not installed; .ci/run builds both")
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist")
    shutil.copytree(CHECKOUT, source, ignore=ignored)
    build = """
import sys
from setuptools import build_meta

folder = sys.argv[1]  # setuptools changes sys.argv
build_meta.build_sdist(folder)
build_meta.build_wheel(folder)
"""
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=source, capture_output=True, text=True, timeout=300, check=False
    )
    assert 0 == done.returncode, done.stderr
    (archive,), (wheel,) = tmp_path.glob("*.tar.gz"), tmp_path.glob("*.whl")
    with tarfile.open(archive) as sdist:
        in_source = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    with zipfile.ZipFile(wheel) as packed:
        in_wheel = set(packed.namelist())

    documents = {document.name for document in DOCUMENTS}
    assert set() == {"CHANGELOG.rst", *documents} - in_source
    assert {name for name in documents if name.startswith("langgraph_runs/")} == {
        name for name in in_wheel if name.endswith("README.rst")
    }


def test_the_version_has_one_home() -> None:
    """It is a version, and setup.cfg reads it from the package."""
    assert re.fullmatch(r"\d+\.\d+\.\d+([ab.]\w+)?", langgraph_runs.__version__)
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    assert "attr: langgraph_runs._version.__version__" == config["metadata"]["version"]


#: Modules that `import langgraph_runs` must not import: it needs them only for a call, or not at all.
NOT_IMPORTED = [
    "asyncio",
    "cattrs",
    "concurrent.futures",
    "django",
    "httpx",
    "langchain_core",
    "langgraph",
    "langgraph_api",
    "langgraph_runs.cli",
    "langgraph_runs.demo",
    "langgraph_runs.devserver",
    "langgraph_runs.testing",
    "langgraph_runs.batch.scheduler",
    "langgraph_sdk",
    "multiprocessing",
    "numpy",
    "pydantic",
    "requests",
    "sqlite3",
    "tenacity",
    "urllib3",
    "uvicorn",
]


@pytest.mark.parametrize("arguments", [(), ("-W", "error"), ("-O",), ("-OO",)], ids=str)
def test_importing_imports_few_modules(arguments: List[str]) -> None:
    """No asyncio, no server, no command line, no requests before the first call, and no warning, with or without docstrings."""
    code = (
        "import sys; before = set(sys.modules); import langgraph_runs, json; print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    imported = set(fresh(code, *arguments))
    assert [] == sorted(set(NOT_IMPORTED) & imported)


def test_a_call_imports_no_asyncio() -> None:
    """Whatever a call imports, asyncio comes with a library below us or not at all."""
    code = """
import sys, json, requests, tenacity, cattrs
before = set(sys.modules)
import langgraph_runs
client = langgraph_runs.Client("http://127.0.0.1:9", api_key=None, retry=langgraph_runs.RetryPolicy(attempts=2, wait_initial=0))
try:
    client.ok()
except langgraph_runs.APIConnectionError as error:
    attempts = error.attempts
print(json.dumps([attempts, sorted(name for name in set(sys.modules) - before if name.split(".")[0] in ("asyncio", "django"))]))
"""
    assert [2, []] == fresh(code)


def test_importing_starts_nothing() -> None:
    """No thread, no open file, no handler, no logger that says something by itself."""
    code = """
import json, logging, threading, sys
import langgraph_runs
root = logging.getLogger()
package = logging.getLogger("langgraph_runs")
print(json.dumps([threading.active_count(), len(root.handlers), len(package.handlers), package.level]))
"""
    assert [1, 0, 0, 0] == fresh(code)


def test_another_sseclient_raises_an_import_error() -> None:
    """Another package installs a module of the same name: importing then raises ImportError, which names the remedy."""
    code = """
import json, sys, types
sys.modules["sseclient"] = other = types.ModuleType("sseclient")
other.SSEClient = type("SSEClient", (), {"__next__": None})
try:
    import langgraph_runs
except ImportError as error:
    print(json.dumps(str(error)))
"""
    assert (
        "the module 'sseclient' is not the one of sseclient-py: "
        "pip uninstall sseclient; pip install --force-reinstall sseclient-py" == fresh(code)
    )


def test_a_pickle_of_another_process_compares_equal() -> None:
    """A run decoded in one process compares equal to its pickle from another."""
    code = """
import json, pickle, base64
from langgraph_runs import Run
print(json.dumps(base64.b64encode(pickle.dumps(Run(run_id="r", thread_id="t", status="success"))).decode()))
"""
    import base64
    import pickle

    assert langgraph_runs.Run(run_id="r", thread_id="t", status="success") == pickle.loads(base64.b64decode(fresh(code)))


def test_dependencies_are_those_that_are_imported() -> None:
    """setup.cfg requires what the package imports, with a lower bound each, and nothing else."""
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    lines = [line for line in config["options"]["install_requires"].splitlines() if line.strip() and not line.startswith("#")]
    required = {re.split(r"[>=<; ]", line.strip())[0] for line in lines}
    assert {"requests", "urllib3", "sseclient-py", "tenacity", "attrs", "cattrs", "orjson"} == required
    assert [] == [line for line in lines if ">=" not in line or "==" in line.split(";")[0] or "<" in line.split(";")[0]]
    assert 'platform_python_implementation == "CPython"' in next(line for line in lines if "orjson" in line)
