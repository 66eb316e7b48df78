"""What the splits of a version let through, as a part of its page."""

from __future__ import annotations

from cryodata.formats.versions import DatasetVersion


def leakage_section(opened: DatasetVersion) -> str:
    """HTML about proteins of validation and test that training shows as well."""
    return "<p>Not measured.</p>"
