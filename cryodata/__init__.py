"""cryodata: cryo-EM maps and fitted models in, versioned training data out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryodata.read.load import load_dataset

__version__ = "0.1.0"
__all__ = ["__version__", "load_dataset"]


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used: importing cryodata loads no torch, dask or datasets."""
    if name == "load_dataset":
        from cryodata.read.load import load_dataset

        return load_dataset
    raise AttributeError(f"module 'cryodata' has no attribute '{name}'")
