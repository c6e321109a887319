"""The public calls of a client: one method for each. The methods check arguments, and leave the work to the packages below."""

from .assistants import AssistantsClient
from .runs import RunsClient
from .threads import ThreadsClient

__all__ = ["AssistantsClient", "RunsClient", "ThreadsClient"]
