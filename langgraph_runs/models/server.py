"""What a server says about itself.

The annotations are read at run time, so this module does not postpone them.
"""

from typing import Any, Dict, Optional

import attrs

__all__ = ["ServerInfo"]


@attrs.frozen(kw_only=True)
class ServerInfo:
    """The version and the features of a server.

    >>> ServerInfo(version="0.16.7", flags={"crons": True}).flags["crons"]
    True
    """

    #: The version of the server, or None if it does not say.
    version: Optional[str] = None
    #: The version of langgraph on the server.
    langgraph_py_version: Optional[str] = None
    #: The features by name; True if the feature is on.
    flags: Dict[str, Any] = attrs.field(factory=dict)
    metadata: Dict[str, Any] = attrs.field(factory=dict)
    #: Fields that this library does not know, or that have another type than documented.
    extra: Dict[str, Any] = attrs.field(factory=dict, repr=False)
