"""Bytes to types and back; one outside format library per file."""
