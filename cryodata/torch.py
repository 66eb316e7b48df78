"""The public door of the PyTorch stream: `from cryodata.torch import SubgridStream`."""

from cryodata.read.torch_stream import SubgridStream

__all__ = ["SubgridStream"]
