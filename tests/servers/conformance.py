"""Makes the checks of `langgraph_runs.testing.conformance` on the three servers, for the table in the README.

python -m tests.servers.conformance                     # starts the servers and prints what was found
python -m tests.servers.conformance --write             # also writes it into README.rst and langgraph_runs/testing/README.rst
python -m tests.servers.conformance JavaScript=http://127.0.0.1:9911 Aegra=http://127.0.0.1:9922   # of servers that run
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from langgraph_runs import Client
from langgraph_runs.testing.conformance import (
    Conformance,
    Graph,
    Graphs,
    as_differences,
    as_table,
    as_text,
    check_conformance,
    own_server,
)

from .serve import start

ROOT = Path(__file__).resolve().parent.parent.parent
#: The columns of the table, each with the name of the server in `serve`.
COLUMNS = {"Python": "python", "JavaScript": "javascript", "Aegra": "aegra"}
#: The documents with a part that is written here: the comments before and after it.
README = (ROOT / "README.rst", "The table of servers, written by", "The end of the table of servers")
CHAPTER = (ROOT / "langgraph_runs" / "testing" / "README.rst", "What differs, written by", "The end of what differs")
#: The graphs of graphs.py, which the JavaScript server and Aegra have too.
GRAPHS = Graphs(
    Graph("work", {"k": 1}),
    failing=Graph("work", {"fail": "value"}),
    pausing=Graph("ask", {}),
    lasting=Graph("work", {"seconds": 60}),
    streaming=Graph("burst", {"n": 60, "seconds": 0.6}),
)


@contextlib.contextmanager
def server(column: str, urls: dict[str, str]) -> Iterator[tuple[str, Graphs]]:
    if column in urls:
        yield urls[column], GRAPHS
    elif column == "Python":
        # The one of the command: it limits the time of a run, which no other of the three can.
        with own_server() as (local, graphs):
            yield local.url, graphs
    else:
        with start(COLUMNS[column]) as url:
            yield url, GRAPHS


def check(column: str, urls: dict[str, str]) -> Conformance:
    with server(column, urls) as (url, graphs), Client(url, api_key=None) as client:
        return check_conformance(client, **graphs.as_arguments())


def part(place: tuple[Path, str, str]) -> str:
    """The text that is written into a document."""
    path, begin, end = place
    text = path.read_text(encoding="utf-8")
    return text.split(f".. {begin}", 1)[1].split("\n\n", 1)[1].split(f"\n.. {end}", 1)[0]


def write(place: tuple[Path, str, str], text: str) -> None:
    path = place[0]
    whole = path.read_text(encoding="utf-8")
    before, after = whole.split(f".. {place[1]}", 1)
    command, rest = after.split("\n\n", 1)
    rest = rest.split(f"\n.. {place[2]}", 1)[1]
    path.write_text(f"{before}.. {place[1]}{command}\n\n{text}\n.. {place[2]}{rest}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.servers.conformance", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("urls", nargs="*", metavar="SERVER=URL", help=f"a server that runs: one of {', '.join(COLUMNS)}")
    parser.add_argument("--write", action="store_true", help="write the table and the list into the documents")
    arguments = parser.parse_args()
    urls = dict(pair.split("=", 1) for pair in arguments.urls)
    if not urls.keys() <= COLUMNS.keys():
        parser.error(f"the servers are {', '.join(COLUMNS)}")
    found = {}
    for column in COLUMNS:
        found[column] = check(column, urls)
        print(f"{column}\n{'=' * len(column)}\n\n{as_text(found[column], 120)}")
    if arguments.write:
        write(README, as_table(found))
        write(CHAPTER, as_differences(found))


if __name__ == "__main__":
    main()
