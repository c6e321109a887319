"""The class of sseclient-py that parses events, after a check that it is there.

Another package installs a module of the same name. This module is imported with the package, so that its import fails, and not a
client that is made later. But not before `_version`: old releases of setuptools import that without the dependencies.
"""

from sseclient import SSEClient

__all__ = ["SSEClient"]

if not hasattr(SSEClient, "events"):
    raise ImportError(
        "the module 'sseclient' is not the one of sseclient-py: pip uninstall sseclient; pip install --force-reinstall sseclient-py"
    )
