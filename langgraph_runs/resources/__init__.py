"""The public calls of a client: one method for each. The methods check arguments, and leave the work to the packages below."""

from .assistants import AssistantsClient
from .crons import CronsClient
from .runs import RunsClient
from .store import StoreClient
from .threads import ThreadsClient

__all__ = ["AssistantsClient", "CronsClient", "RunsClient", "StoreClient", "ThreadsClient"]
