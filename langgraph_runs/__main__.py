"""``python -m langgraph_runs`` runs the command line ``langgraph-runs``."""

from __future__ import annotations

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
