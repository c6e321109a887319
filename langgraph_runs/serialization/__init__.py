"""Encodes Python objects as JSON, and decodes JSON to the records of `models`. The only importer of orjson and cattrs."""

from .json_decoder import decode, decode_body, decode_list, parse
from .json_encoder import encode

__all__ = ["decode", "decode_body", "decode_list", "encode", "parse"]
