"""Reads tables as inputs of a map: files of JSON lines, CSV and Parquet, and DataFrames. Sends nothing.

A row that cannot be used is an error of that row. The only importer of pyarrow, which is imported when it is needed.
"""

from .arrow import import_pyarrow
from .read_table import guess_format, read_table
from .sources import is_table

__all__ = ["guess_format", "import_pyarrow", "is_table", "read_table"]
