"""The cutting proxy is part of the package, since the checks of a server use it too; the tests name it by this module."""

from langgraph_runs.testing.cutting_proxy import (
    PASS,
    CuttingProxy,
    Fault,
    Turn,
    cut_request,
    cut_response,
    refuse,
    seeded,
    stall_request,
    stall_response,
    swallow,
)

__all__ = [
    "PASS",
    "CuttingProxy",
    "Fault",
    "Turn",
    "cut_request",
    "cut_response",
    "refuse",
    "seeded",
    "stall_request",
    "stall_response",
    "swallow",
]
