"""Explicit-state models of protocols, explored exhaustively."""
