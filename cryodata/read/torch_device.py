"""Sub-grids cut on an accelerator: volumes are moved there once, and boxes never pass through the host.

The same numbers as on the host. Labels of one voxel an atom are scattered on the device from places that the host
computes, a few kilobytes a batch; rules that look around an atom are drawn on the host and moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cryodata.core.rotations import ROTATIONS
from cryodata.prepare.draw import voxels_of
from cryodata.read.buffers import Layout
from cryodata.read.fill import PROBABILITY, ROTATION, START, boxes_near, draw_labels
from cryodata.read.served import PoolVolume, Served

Tensors = Mapping[str, torch.Tensor]


class DeviceCutter:
    """Makes and fills batches on a device; for one pass at a time."""

    def __init__(self, device: torch.device, voxels: int, dtype: np.dtype[Any]) -> None:
        self.device = device
        self._voxels = torch.empty(voxels, dtype=torch.from_numpy(np.empty(0, dtype)).dtype, device=device)
        "the slots of the pool, on the device"

        self._there: dict[int, PoolVolume] = {}
        "volume that was moved, by where it begins"

    def new(self, layouts: Mapping[str, Layout]) -> dict[str, Any]:
        """Tensors of a batch on the device."""
        return {
            name: torch.empty(shape, dtype=torch.from_numpy(np.empty(0, dtype)).dtype, device=self.device)
            for name, (shape, dtype) in layouts.items()
        }

    def fill(
        self, out: Tensors, served: Served, here: slice, voxels: npt.NDArray[Any], density: frozenset[str]
    ) -> None:
        """As `fill` of the host: write some of what is served into the tensors of a batch."""
        out[START][...] = self._moved(served.start_zyx[here])
        if served.probability is not None:
            out[PROBABILITY][...] = self._moved(served.probability[here])
        if served.turn is not None:
            turn = served.turn[here]
            out[ROTATION][...] = self._moved(ROTATIONS[turn] if turn.ndim == 1 else turn)
        for name in density & out.keys():
            for volume in served.volumes:
                self._move(volume)
            if served.turn is not None and served.turn.ndim > 1:
                self._turn(out[name], served, here)
            else:
                self._cut(out[name], served, here)
        self._label({name: out[name] for name in out.keys() - density - {START, PROBABILITY, ROTATION}}, served, here)

    def _move(self, volume: PoolVolume) -> None:
        if self._there.get(volume.begin) is not volume:
            source = torch.from_numpy(volume.voxels.reshape(-1))
            self._voxels[volume.begin : volume.begin + len(source)].copy_(source)
            self._there[volume.begin] = volume

    def _moved(self, values: npt.NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def _cut(self, out: torch.Tensor, served: Served, here: slice) -> None:
        first, strides = self._moved(served.first[here]), self._moved(served.strides[here])
        steps = torch.arange(out.shape[-1], device=self.device)
        z, y, x = (strides[:, axis, None] * steps for axis in range(3))
        place = first[:, None, None, None] + z[:, :, None, None] + y[:, None, :, None] + x[:, None, None, :]
        out[...] = self._voxels[place]

    def _turn(self, out: torch.Tensor, served: Served, here: slice) -> None:
        """Any rotation, interpolated linearly; beyond the frame of a volume lies 0."""
        box, which = out.shape[-1], served.volume[here]
        grids = [volume.grid for volume in served.volumes]
        shape = self._moved(np.array([volume.voxels.shape for volume in served.volumes])[which])[:, None]
        margin = np.array([grid.margin for grid in grids])[which]
        begin = self._moved(np.array([volume.begin for volume in served.volumes])[which])[:, None]
        centre = self._moved(served.start_zyx[here] + margin[:, None] + (box - 1) / 2)
        assert served.turn is not None
        offset = torch.arange(box, device=self.device, dtype=torch.float64) - (box - 1) / 2
        grid = torch.stack(torch.meshgrid(offset, offset, offset, indexing="ij"), dim=-1).reshape(-1, 3)
        # place: (samples, voxels of a box, axis); a turned volume is read where the inverse rotation leads
        place = grid @ self._moved(served.turn[here]) + centre[:, None]
        lower = place.floor()
        share, corner = (place - lower).float(), lower.long()
        total = torch.zeros(place.shape[:2], dtype=torch.float32, device=self.device)
        for step in np.ndindex(2, 2, 2):
            at = corner + torch.tensor(step, device=self.device)
            inside = ((at >= 0) & (at < shape)).all(dim=-1)
            at = torch.where(inside[..., None], at, 0)
            flat = begin + (at[..., 0] * shape[..., 1] + at[..., 1]) * shape[..., 2] + at[..., 2]
            weight = torch.stack([share[..., a] if step[a] else 1 - share[..., a] for a in range(3)]).prod(dim=0)
            total += torch.where(inside, self._voxels[flat].float() * weight, 0)
        out[...] = total.reshape(out.shape)

    def _label(self, out: Tensors, served: Served, here: slice) -> None:
        for name, written in served.written.items():
            if name in out:
                first, count = written.first[here], written.last[here] - written.first[here]
                sample = np.repeat(np.arange(len(first)), count)
                rows = np.repeat(first, count) + np.arange(len(sample)) - np.repeat(np.cumsum(count) - count, count)
                self._scatter(out[name], sample * out[name][0].numel() + written.place[rows], written.values[rows])
        labels = [volume.labels for volume in served.volumes if volume.labels is not None]
        if not served.near or not labels or not out:
            return
        if labels[0].drawn:
            drawn = {name: np.empty(tuple(tensor.shape), _dtype(tensor)) for name, tensor in out.items()}
            draw_labels(drawn, served, here)
            for name, array in drawn.items():
                out[name][...] = self._moved(array)
            return
        cell = labels[0].rule.cell(labels[0].recipe)
        for points in boxes_near(served, here, next(iter(out.values())).shape[-1]):
            for name in points.values.keys() & out.keys():
                self._scatter(out[name], *voxels_of(cell, points, name, tuple(out[name].shape)))

    def _scatter(self, out: torch.Tensor, place: npt.NDArray[np.int64], values: npt.NDArray[np.uint8]) -> None:
        """Values at places of a whole tensor, flat, each at most once; 0 elsewhere."""
        out.zero_()
        out.view(-1)[self._moved(place)] = self._moved(values)


def _dtype(tensor: torch.Tensor) -> np.dtype[Any]:
    return torch.empty(0, dtype=tensor.dtype).numpy().dtype
