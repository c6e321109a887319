"""The layers of the package and who may import what. The imports are parsed, not run."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Set, Tuple

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "langgraph_runs"

#: From top to bottom, and in a line from left to right: a package or module imports only what comes after it.
LAYERS = """
__main__
cli demo testing django devserver compat
__init__
client
resources
batch streaming runs
api http serialization
payloads options call
server_traits fields validation exit_codes errors models markers times _public _version _program _late_imports _sseclient
"""

#: The modules that may import a library, by the library. A package stands for all its modules. No other library is imported.
IMPORTERS: Dict[str, Set[str]] = {
    "attrs": {
        "batch",
        "call",
        "client",
        "compat.records",
        "fields",
        "http",
        "models",
        "payloads",
        "runs",
        "serialization",
        "server_traits",
    }
    | {"streaming", "django.browser_events", "django.webhooks", "testing.conformance.results"},
    "cattrs": {"serialization.records"},
    "orjson": {"serialization.json_decoder", "serialization.json_encoder"},
    "requests": {"http", "client"},
    "urllib3": {"http"},
    "sseclient": {"_sseclient"},
    "tenacity": {"call.retry"},
    "tqdm": {"batch.progress_bar"},
    "pyarrow": {"batch.tables.arrow"},
    "psycopg": {"batch.ledger.postgresql.url"},
    "pandas": {"batch.result_file"},
    "typing_extensions": {"client", "resources"},
    "pytest": {"testing.plugin"},
    "django": {"django", "demo"},
    "markdown_it": {"demo.web.markdown"},
    "nh3": {"demo.web.markdown"},
    "langgraph_sdk": {"compat.client"},  # for types alone; where it is installed, compat.errors finds its classes by name
}

#: Imports that are not made until they are needed, with what they would cost every program.
LAZY: Set[Tuple[str, str]] = {
    ("resources.runs", "batch"),  # maps: a tenth of what importing takes
    ("client", "resources"),  # all calls: a quarter of what importing would take
    ("validation", "difflib"),  # only a message about a wrong name needs it
    ("serialization.digest", "hashlib"),  # brings OpenSSL: 3 ms
    ("cli.__init__", "cli.program"),  # so that a Ctrl-C while it loads shows no traceback
    ("cli.demo", "demo.tour"),  # the tour and the server it starts: only for those who watch it
    ("cli.demo", "demo.web.serving"),  # Django, which is an extra
    ("cli.demo", "devserver"),
    ("cli.serve", "devserver"),
    ("cli.conformance", "devserver"),  # like the demo, only for one option
    ("cli.conformance", "testing.conformance"),
    ("cli.doctor", "importlib.metadata"),  # 10 ms each, for one command
    ("cli.doctor", "urllib.request"),
    ("serialization.json_decoder", "serialization.records"),  # cattrs: 20 ms, and streams do without
    ("http.session_factory", "http.session"),  # requests: 60 ms, the most of all
    ("http.headers", "email.utils"),  # most responses need no date
    ("http.headers", "html"),  # few responses are pages
    ("batch.thread_pool", "concurrent.futures"),  # only maps use it
    ("batch.ledger.sqlite_file", "sqlite3"),  # only ledgers do
    ("batch.tables.arrow", "pyarrow"),  # an extra, and large
    ("batch.tables.arrow", "pyarrow.dataset"),
    ("batch.result_file", "pandas"),  # only for a DataFrame of results
    ("batch.tables.arrow", "pyarrow.parquet"),
    ("batch.ledger.source", "batch.ledger.postgresql"),  # only ledgers in PostgreSQL do
    ("batch.ledger.postgresql.url", "psycopg"),  # an extra
    ("batch.progress_bar", "tqdm"),  # an extra, and only for a bar
    ("batch.progress_bar", "tqdm.auto"),  # brings asyncio with it, which a notebook has anyway
    ("testing.network", "http.connection"),  # brings urllib3
    ("testing.webhook_request", "django"),  # Django itself, which is an extra
    ("django.runs.apps", "django.runs.recording"),  # models, which cannot be imported before all apps are loaded
    ("call.retry", "tenacity"),  # brings asyncio with it
}

#: Run by path in another process, or inside of a server, and never imported by the package.
OUTSIDE = {"testing.conformance.graphs", "devserver.child", "demo.graph", "demo.web.graph"}


class Import(NamedTuple):
    """One import in one module."""

    module: str
    #: ``errors`` for one of ours, ``requests.adapters`` for another.
    target: str
    ours: bool
    #: Within a function, so that it is made when that runs.
    lazy: bool
    #: Under ``if TYPE_CHECKING``, so that it is never made.
    typing: bool
    line: int


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def modules() -> Dict[str, ast.Module]:
    found = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
    return {name: tree for name, tree in found.items() if name not in OUTSIDE}


def imports_of(name: str, tree: ast.Module) -> Iterator[Import]:
    def resolved(node: ast.ImportFrom) -> Iterator[str]:
        base = name.split(".")[: -node.level]
        target = ".".join([*base, *(node.module.split(".") if node.module else [])])
        for alias in node.names:
            full = f"{target}.{alias.name}".lstrip(".")
            yield full if full in NAMES or full + ".__init__" in NAMES else target or "__init__"

    def walk(node: ast.AST, lazy: bool, typing: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = lazy or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            checking = typing or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test))
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(name, alias.name, alias.name.split(".")[0] == "langgraph_runs", lazy, typing, child.lineno)
            elif isinstance(child, ast.ImportFrom):
                if not child.level:
                    yield Import(name, child.module or "", False, lazy, typing, child.lineno)
                else:
                    for target in dict.fromkeys(resolved(child)):
                        yield Import(name, target, True, lazy, typing, child.lineno)
            yield from walk(child, inside, checking)

    yield from walk(tree, False, False)


MODULES = modules()
NAMES = set(MODULES)
IMPORTS: List[Import] = [found for name, tree in MODULES.items() for found in imports_of(name, tree)]
ORDER = {layer: place for place, layer in enumerate(LAYERS.split())}


def package_of(module: str) -> str:
    return module.split(".")[0]


def test_the_table_has_every_package_and_module_once() -> None:
    assert sorted({package_of(name) for name in MODULES}) == sorted(LAYERS.split())


def test_imports_go_down() -> None:
    """Nothing imports from a package above its own, not even lazily or for its types; so no two packages import each other."""
    assert [] == [
        f"{found.module}:{found.line} imports {found.target}"
        for found in IMPORTS
        if found.ours
        and package_of(found.module) != package_of(found.target)
        and ORDER[package_of(found.module)] >= ORDER[package_of(found.target)]
    ]


def test_nothing_reaches_past_the_init_of_a_package() -> None:
    """What other packages may use is exported by the package itself."""
    # What replaces a function of the other module, and what is loaded only on demand.
    allowed = {("testing.network", "http.connection"), ("cli.demo", "demo.tour"), ("cli.demo", "demo.web.serving")}
    allowed.add(("cli.conformance", "testing.conformance"))
    allowed.add(("demo.web.views", "django.runs.models"))  # models are imported from where Django has them
    assert [] == [
        f"{found.module}:{found.line} imports {found.target}"
        for found in IMPORTS
        if found.ours
        and package_of(found.module) != package_of(found.target)
        and "." in found.target
        and (found.module, found.target) not in allowed
    ]


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: Dict[str, Set[str]] = {name: set() for name in MODULES}
    for found in IMPORTS:
        if found.ours and not found.typing and not found.lazy:
            target = found.target if found.target in graph else found.target + ".__init__"
            if target in graph and target != found.module:
                graph[found.module].add(target)
    # Remove what imports nothing that is left, again and again: what cannot be removed is in a circle, or above one.
    while True:
        free = {name for name, targets in graph.items() if not targets & graph.keys()}
        if not free:
            break
        graph = {name: targets for name, targets in graph.items() if name not in free}
    assert {} == {name: sorted(targets & graph.keys()) for name, targets in graph.items()}


@pytest.mark.parametrize("library", sorted(IMPORTERS))
def test_a_library_is_imported_only_where_the_table_says(library: str) -> None:
    users = {found.module for found in IMPORTS if not found.ours and package_of(found.target) == library}
    allowed = IMPORTERS[library]
    assert set() == {user for user in users if user not in allowed and package_of(user) not in allowed}
    assert set() == {entry for entry in allowed if not any(entry in (user, package_of(user)) for user in users)}


def test_no_other_library_is_imported() -> None:
    """Beside the standard library and the table there is nothing, and in particular no asyncio."""
    others = {package_of(found.target) for found in IMPORTS if not found.ours} - set(IMPORTERS) - {"__future__"}
    assert set() == others - set(sys.stdlib_module_names if sys.version_info >= (3, 10) else others)
    assert "asyncio" not in others


def test_only_the_documented_imports_are_lazy() -> None:
    """An import within a function hides a dependency: each has its reason in the table."""
    assert LAZY == {(found.module, found.target) for found in IMPORTS if found.lazy}


def test_no_shared_retry_decorator() -> None:
    """A function that tenacity decorates is not safe to call from two threads: nothing in the package is."""
    decorators = [
        ast.unparse(decorator).split("(")[0]
        for tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        for decorator in node.decorator_list
    ]
    assert [] == [text for text in decorators if "retry" in text.lower()]


def test_no_room_without_a_name() -> None:
    """There are no modules called utils, helpers, base, core, common, misc or manager."""
    assert set() == {"utils", "helpers", "base", "core", "common", "misc", "manager"} & {
        part for name in MODULES for part in name.split(".")
    }


def test_every_module_says_what_it_is() -> None:
    """Each begins with a docstring, and names what it exports."""
    assert [] == [name for name, tree in MODULES.items() if not ast.get_docstring(tree)]
    without = {"__main__", "_version", "demo.__init__", "demo.web.__init__"}
    assert [] == [
        name
        for name, tree in MODULES.items()
        if name not in without
        and not any(
            isinstance(node, ast.Assign) and ast.dump(node.targets[0]).startswith("Name(id='__all__'") for node in tree.body
        )
    ]


def test_no_module_keeps_state() -> None:
    """No module rebinds a name of its own from within a function: there are no mutable globals."""
    assert [] == [name for name, tree in MODULES.items() for node in ast.walk(tree) if isinstance(node, ast.Global)]
