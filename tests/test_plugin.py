"""The pytest plugin, in processes of its own: a user's project with its tests, and what the fixtures say when something is wrong."""

from __future__ import annotations

import configparser
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from langgraph_runs.devserver import unavailable_reason

from .readme import all_blocks

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
EXAMPLE = HERE / "example_project"
BY_MODULE = ("-p", "langgraph_runs.testing.plugin")


class Outcome:
    """What pytest said."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.text = done.stdout + done.stderr
        summary = self.text.strip().splitlines()[-1] if self.text.strip() else ""
        self.counts: Dict[str, int] = {
            word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|errors?|skipped)", summary)
        }


def others() -> List[str]:
    """The plugins that happen to be installed here, which have no part in this."""
    found = {
        point.name for about in importlib.metadata.distributions() for point in about.entry_points if point.group == "pytest11"
    }
    return sorted(found - {"langgraph_runs"})


def run_pytest(directory: Path, *arguments: str, path: Optional[List[Path]] = None, autoload: bool = False) -> Outcome:
    """Run the tests of *directory*, with the package of this checkout, warnings as errors and no cache."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "LANGGRAPH_", "COV_"))}
    env["PYTHONPATH"] = os.pathsep.join(map(str, [*(path or []), CHECKOUT]))
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    if autoload:
        arguments += tuple(f"-pno:{name}" for name in others())
    else:
        env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    # -W for what is warned before an ini file is read, such as a module that was imported too early to be rewritten
    command = [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider", "-q", "--color=no", *arguments]
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=120, check=False)
    return Outcome(done)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with tests of its own; the tests below write them."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return tmp_path


@pytest.fixture
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that makes the package look installed: what pip leaves of it, with the entry points of setup.cfg."""
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    place = tmp_path_factory.mktemp("site")
    about = place / "langgraph_runs-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: langgraph-runs\nVersion: 0\n")
    (about / "entry_points.txt").write_text(f"[pytest11]{config['options.entry_points']['pytest11']}\n")
    (about / "RECORD").write_text("langgraph_runs/__init__.py,,\nlanggraph_runs/testing/__init__.py,,\n")
    return place


@pytest.mark.slow
def test_the_example_project_passes() -> None:
    """Its fifteen tests, the two on a real server included where there can be one; where not, they say why."""
    told = run_pytest(EXAMPLE, *BY_MODULE, "-rs")

    reason = unavailable_reason()
    assert ({"passed": 15} if reason is None else {"passed": 13, "skipped": 2}) == told.counts, told.text
    assert reason is None or reason in told.text.replace("\n", " ")


def test_an_installed_package_brings_its_fixtures_along(installed: Path) -> None:
    """By the entry point, without a word in the project; it can be kept out by its name."""
    told = run_pytest(EXAMPLE, "-k", "not itself", path=[installed], autoload=True)
    assert {"passed": 13} == told.counts, told.text

    without = run_pytest(EXAMPLE, "-k", "busy", "-p", "no:langgraph_runs", "-c", os.devnull, path=[installed], autoload=True)
    assert {"errors": 2} == without.counts, without.text
    assert "fixture 'langgraph_runs_fake' not found" in without.text


def test_the_package_may_be_imported_before_pytest(installed: Path) -> None:
    """As by a manage.py that runs pytest: no warning that it cannot be rewritten."""
    arguments = ["-q", "-p", "no:cacheprovider", "-k", "busy", *(f"-pno:{name}" for name in others())]
    code = f"import sys, langgraph_runs, pytest; sys.exit(pytest.main({arguments}))"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "LANGGRAPH_", "COV_"))}
    env.update(PYTHONPATH=os.pathsep.join(map(str, (installed, CHECKOUT))), PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=EXAMPLE, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert {"passed": 2} == Outcome(done).counts, done.stdout + done.stderr


def test_loading_the_plugin_brings_little() -> None:
    """Beside the package itself two modules; neither requests nor what its fixtures use."""
    code = """
import json, sys
import pytest, langgraph_runs
before = set(sys.modules)
import langgraph_runs.testing.plugin
print(json.dumps([sorted(set(sys.modules) - before), sorted({"requests", "urllib3", "asyncio.events"} & set(sys.modules) - before)]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True)
    assert [["langgraph_runs.testing", "langgraph_runs.testing.plugin"], []] == json.loads(done.stdout)


def test_the_client_of_a_django_project_reaches_the_fake(project: Path) -> None:
    """Whatever the settings say; a client with another address is refused, on this machine too."""
    pytest.importorskip("django", reason='Django is not installed: pip install ".[django]"')
    (project / "conftest.py").write_text(
        """
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="x" * 50,
    ROOT_URLCONF="langgraph_runs.django.urls",
    LANGGRAPH_RUNS={"URL": "http://127.0.0.1:2024", "API_KEY": "a-key-of-the-developer"},
)
django.setup()
"""
    )
    (project / "test_it.py").write_text(
        """
import pytest
from langgraph_runs import Client
from langgraph_runs.django import get_client
from langgraph_runs.testing import NetworkRefusedError, succeeds

@pytest.mark.parametrize("answer", [1, 2])
def test_reached(langgraph_runs_fake, answer):
    langgraph_runs_fake.script(succeeds({"answer": answer}))
    thread_id = get_client().threads.create().thread_id
    assert get_client().runs.wait(thread_id, "agent") == {"answer": answer}
    assert "x-api-key" not in langgraph_runs_fake.requests[-1].headers

@pytest.mark.parametrize("url", ["http://127.0.0.1:2024", "http://localhost:2024", "https://api.example.com"])
def test_refused(langgraph_runs_fake, url):
    with Client(url, api_key=None) as client, pytest.raises(NetworkRefusedError, match="langgraph_runs_fake: this test wants"):
        client.ok()
"""
    )
    told = run_pytest(project, *BY_MODULE)
    assert {"passed": 5} == told.counts, told.text


def test_what_was_forgotten_fails_the_test_at_its_end(project: Path) -> None:
    """A run without a script and a script without a run, though the test itself passed."""
    (project / "test_it.py").write_text(
        """
from langgraph_runs import Client, LangGraphRunsError
from langgraph_runs.testing import succeeds

def test_unscripted(langgraph_runs_fake):
    try:
        Client().runs.create(None, "agent", input={"n": 1})
    except LangGraphRunsError as error:
        assert "there is no script" in str(error)

def test_unused(langgraph_runs_fake):
    langgraph_runs_fake.script(succeeds({"n": 1}))

def test_elsewhere(langgraph_runs_fake):
    Client("http://192.0.2.1").ok()

def test_keys(langgraph_runs_fake):
    Client().ok()
    assert langgraph_runs_fake.requests[0].header("x-api-key") is None

def test_messages(langgraph_runs_fake):
    langgraph_runs_fake.script(succeeds())
    langgraph_runs_fake.client(api_key="secret-key").runs.wait(None, "agent", input={"n": 1})
    langgraph_runs_fake.assert_started(input={"n": 2})
"""
    )
    # what a developer's shell may hold, which is not to reach a test
    (project / "conftest.py").write_text(
        "import os\nos.environ.update(LANGSMITH_API_KEY='real-key', LANGGRAPH_API_URL='http://192.0.2.2', HTTP_PROXY='http://192.0.2.3')\n"
    )
    told = run_pytest(project, *BY_MODULE)

    assert {"passed": 3, "failed": 2, "errors": 2} == told.counts, told.text
    assert "there is no script for a run with assistant_id='agent', thread_id=None, input={'n': 1}" in told.text
    assert "a script was not used: succeeds({'n': 1})" in told.text
    assert "this test wants to connect to 192.0.2.3, port 80" in told.text  # the proxy that leads elsewhere
    assert re.search(r"1\. POST /threads/[0-9a-f-]{36}/runs/wait: input was \{'n': 1\}", told.text)
    assert "secret-key" not in told.text.replace('api_key="secret-key"', "")


def test_the_server_fixture_says_what_it_lacks(project: Path) -> None:
    """No graphs, graphs that are none, and a Python that cannot run the server."""
    (project / "test_it.py").write_text("def test_it(langgraph_dev_server):\n    assert langgraph_dev_server.url\n")
    (project / "conftest.py").write_text(
        "import langgraph_runs.devserver\nlanggraph_runs.devserver.unavailable_reason = lambda: None\n"
    )
    told = run_pytest(project, *BY_MODULE)
    assert {"error": 1} == told.counts, told.text
    assert "set the ini option langgraph_graphs (agent = my_agent.py:graph)" in told.text

    told = run_pytest(project, *BY_MODULE, "-o", "langgraph_graphs=agent.py")
    assert "langgraph_graphs: 'agent.py' is not of the form: name = path.py:variable" in told.text

    (project / "conftest.py").write_text(
        "import langgraph_runs.devserver\nlanggraph_runs.devserver.unavailable_reason = lambda: 'it is not here'\n"
    )
    told = run_pytest(project, *BY_MODULE, "-rs")
    assert {"skipped": 1} == told.counts, told.text
    assert "it is not here" in told.text


def test_the_example_of_the_readme_is_a_test_that_passes(project: Path) -> None:
    """And one that fails, if the agent is given another question."""
    (block,) = [block for block in all_blocks("python") if "langgraph_runs_fake" in block.text]
    (project / "test_readme.py").write_text(block.text)
    (project / "test_wrong.py").write_text(block.text.replace('input={"question": question}', 'input={"question": "?"}'))
    told = run_pytest(project, *BY_MODULE)

    assert {"passed": 1, "failed": 1} == told.counts, told.text
    assert re.search(r"1\. POST /threads/[0-9a-f-]{36}/runs/wait: input was \{'question': '\?'\}", told.text)
    assert len(block.text.splitlines()) <= 12


#: A project with a view that starts a run, a page that shows its question, and stand-ins for the fixtures of pytest-django.
SHOP = """
import django, pytest
from django.conf import settings

settings.configure(
    SECRET_KEY="x" * 50,
    ROOT_URLCONF="conftest",
    ALLOWED_HOSTS=["testserver"],
    LANGGRAPH_RUNS={"URL": "http://127.0.0.1:2024"},
)
django.setup()

from django.dispatch import receiver
from django.http import HttpResponse, HttpResponseRedirect
from django.test import Client
from django.urls import include, path
from langgraph_runs.django import get_client, run_finished, webhook_url

questions = []

def begin(request):
    thread_id = get_client().threads.create().thread_id
    get_client().runs.create(thread_id, "agent", input=request.POST["text"], webhook=webhook_url(request))
    return HttpResponseRedirect("/page/")

def page(request):
    return HttpResponse("".join(questions))

urlpatterns = [path("threads/", begin), path("page/", page), path("langgraph/", include("langgraph_runs.django.urls"))]

@receiver(run_finished)
def note(sender, run, outcome, **kwargs):
    questions.extend(one.value for one in outcome.interrupts)

@pytest.fixture
def client():
    return Client()

@pytest.fixture
def db():
    return None
"""


def test_the_example_of_the_django_chapter_is_a_test_that_passes(project: Path) -> None:
    pytest.importorskip("django", reason='Django is not installed: pip install ".[django]"')
    (block,) = [block for block in all_blocks("") if "langgraph_runs_fake" in block.text]
    (project / "conftest.py").write_text(SHOP)
    (project / "test_shop.py").write_text(block.text)
    told = run_pytest(project, *BY_MODULE)

    assert {"passed": 1} == told.counts, told.text


def test_our_own_tests_do_not_load_it(pytestconfig: pytest.Config) -> None:
    """An installed copy would be imported before the checkout is on the path."""
    plugins: Any = pytestconfig.pluginmanager
    assert plugins.is_blocked("langgraph_runs")
    assert "langgraph_runs.testing.plugin" not in sys.modules or not plugins.is_registered(
        sys.modules["langgraph_runs.testing.plugin"]
    )
