"""Reads tables as inputs of a map: files of JSON lines, CSV and Parquet, and DataFrames. Sends nothing.

A row that cannot be used is an error of that row. The only importer of pyarrow for reading, which is imported when it is needed.
"""

from .read_table import read_table
from .sources import is_table

__all__ = ["is_table", "read_table"]
