"""A program whose calls are made in processes of multiprocessing: ``python -m tests.hosts.processes METHOD URL SILENT_URL``.

The clients are made, and used once, before the processes are started. Both processes and the parent make all calls.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from typing import Dict

from .probes import CALLS, Probe


def main(method: str, fake_url: str, silent_url: str) -> Dict[str, str]:
    probe = Probe(fake_url, silent_url)
    probe.client.ok()
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.map(probe_all, [probe, probe], chunksize=1)
    found.append(probe.run_all())
    return {name: "\n".join(filter(None, (one[name] for one in found))) for name in CALLS}


def probe_all(probe: Probe) -> Dict[str, str]:
    return probe.run_all()


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
