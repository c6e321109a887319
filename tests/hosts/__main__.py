"""Makes the five calls of `probes` in each host, and prints a table.

python -m tests.hosts                    # all hosts that this environment has: pip install ".[test,hosts]"
python -m tests.hosts uwsgi jupyter      # these alone; what went wrong is printed below the table
python -m tests.hosts --write            # also writes the table into the chapter "Where it runs"
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from pathlib import Path

from .hosts import HOSTS, ROOT, Results, place
from .probes import CALLS

CHAPTER = ROOT / "langgraph_runs" / "call" / "README.rst"
BEGIN, END = ".. The table of hosts, written by python -m tests.hosts --write", ".. The end of the table of hosts"


def check(name: str) -> Results:
    """What went wrong, by call; "" where nothing did. If the host itself failed, the same for all calls."""
    host = HOSTS[name]
    reason = host.unavailable_reason()
    if reason:
        return dict.fromkeys(CALLS, reason)
    with tempfile.TemporaryDirectory() as directory:
        try:
            with place(Path(directory)) as here:
                return host.calls(here)
        except Exception:
            return dict.fromkeys(CALLS, traceback.format_exc())


def word(result: str) -> str:
    return "not tried" if result.startswith("not installed") else "fails" if result else "works"


def as_table(found: dict[str, Results]) -> str:
    rows = [["host", *CALLS]]
    rows += [[HOSTS[name].command, *(word(results[call]) for call in CALLS)] for name, results in found.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = " ".join("=" * width for width in widths)
    lines = [" ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def write(table: str) -> None:
    before, rest = CHAPTER.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    CHAPTER.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.hosts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="HOST", help=f"one of: {', '.join(HOSTS)}")
    parser.add_argument("--write", action="store_true", help="write the table into the chapter; needs all hosts")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in HOSTS]
    if unknown or (arguments.write and arguments.names):
        parser.error(f"the hosts are {', '.join(HOSTS)}")
    found = {}
    for name in arguments.names or HOSTS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found[name] = check(name)
    print(as_table(found))
    problems = {text: name for name, results in found.items() for text in results.values() if word(text) == "fails"}
    for text, name in problems.items():
        print(f"\n{name}\n{'-' * len(name)}\n{text}")
    if arguments.write:
        write(as_table(found))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
