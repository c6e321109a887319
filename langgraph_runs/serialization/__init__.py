"""Encodes Python objects as JSON, and decodes JSON to the records of `models`. The only importer of orjson and cattrs."""

from .digest import digest_of
from .json_decoder import decode, decode_body, decode_list, parse
from .json_encoder import encode

__all__ = ["decode", "decode_body", "decode_list", "digest_of", "encode", "parse"]
