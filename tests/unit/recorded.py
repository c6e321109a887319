"""The recorded responses of three servers, for `played`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

from .played import Reply

__all__ = ["RECORDED"]

#: By the name of the server and of the call.
RECORDED: Dict[Any, Reply] = {
    (item["server"], item["call"]): Reply(item["status"], item["body"].encode(), {"content-type": item["type"] or ""})
    for item in json.loads((Path(__file__).parent / "recorded_responses.json").read_text("utf-8"))
}
