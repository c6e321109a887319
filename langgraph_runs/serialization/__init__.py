"""Python objects to JSON, and JSON to the records of `models`, strictly. The only importer of orjson and cattrs."""

from .json_codec import decode, decode_body, decode_list, encode, parse

__all__ = ["decode", "decode_body", "decode_list", "encode", "parse"]
