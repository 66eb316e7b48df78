"""Sub-grids cut on an accelerator: volumes are moved there once, and boxes never pass through the host.

The same numbers as on the host. Labels of one voxel an atom are scattered on the device from places that the host
computes, a few kilobytes a batch; rules that look around an atom are drawn on the host and moved.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cryodata.core.rotations import ROTATIONS
from cryodata.prepare.draw import voxels_of
from cryodata.read.buffers import Layout
from cryodata.read.decoded import VolumeLabels
from cryodata.read.fill import PROBABILITY, ROTATION, START, boxes_near, draw_labels
from cryodata.read.served import Part, PoolVolume

TURNED = 1 << 20
"voxels that are turned together at most: the scratch of each is some 200 bytes on the device"

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

    def fill(self, parts: Sequence[Part], voxels: npt.NDArray[Any], density: frozenset[str]) -> None:
        """As `fill` of the host. parts: of one batch, one after the other; at least one.

        They are written together, but for labels that are drawn on the host: to start the work of a device takes as
        long as to do it for many sub-grids.
        """
        first = parts[0].there.start
        out = {name: tensor[first : parts[-1].there.stop] for name, tensor in parts[0].arrays.items()}
        turns = [part.served.turn[part.here] for part in parts if part.served.turn is not None]
        turn = np.concatenate(turns) if turns else None
        out[START][...] = self._moved(_joined(parts, "start_zyx"))
        if PROBABILITY in out:
            out[PROBABILITY][...] = self._moved(_joined(parts, "probability"))
        if turn is not None:
            out[ROTATION][...] = self._moved(ROTATIONS[turn] if turn.ndim == 1 else turn)
        for name in density & out.keys():
            for part in parts:
                self._move(part.served.volumes)
            if turn is not None and turn.ndim > 1:
                self._turn(out[name], parts, turn)
            else:
                self._cut(out[name], parts)
        labels = {name: out[name] for name in out.keys() - density - {START, PROBABILITY, ROTATION}}
        if labels:
            rule = next(volume.labels for volume in parts[0].served.volumes if volume.labels is not None)
            if rule.drawn:
                self._draw(labels, parts)
            else:
                self._scatter(labels, parts, rule)

    def _move(self, volumes: Iterable[PoolVolume]) -> None:
        for volume in volumes:
            if self._there.get(volume.begin) is not volume:
                source = torch.from_numpy(volume.voxels.reshape(-1))
                self._voxels[volume.begin : volume.begin + len(source)].copy_(source)
                self._there[volume.begin] = volume

    def _moved(self, values: npt.NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def _cut(self, out: torch.Tensor, parts: Sequence[Part]) -> None:
        told = self._moved(np.column_stack([_joined(parts, "first"), _joined(parts, "strides")]))
        steps = torch.arange(out.shape[-1], device=self.device)
        z, y, x = (told[:, axis, None] * steps for axis in (1, 2, 3))
        place = (told[:, 0, None, None, None] + z[:, :, None, None]) + (y[:, None, :, None] + x[:, None, None, :])
        out[...] = self._voxels[place]

    def _turn(self, out: torch.Tensor, parts: Sequence[Part], turn: npt.NDArray[np.float64]) -> None:
        """Any rotation, interpolated linearly; beyond the frame of a volume lies 0."""
        box = out.shape[-1]
        shape = self._moved(_of_volumes(parts, lambda volume: volume.voxels.shape))[:, None]
        begin = self._moved(_of_volumes(parts, lambda volume: volume.begin))[:, None]
        margin = _of_volumes(parts, lambda volume: volume.grid.margin)[:, None]
        centre = self._moved(_joined(parts, "start_zyx") + margin + (box - 1) / 2)
        offset = torch.arange(box, device=self.device, dtype=torch.float64) - (box - 1) / 2
        grid = torch.stack(torch.meshgrid(offset, offset, offset, indexing="ij"), dim=-1).reshape(-1, 3)
        turned = self._moved(turn)
        together = max(1, TURNED // len(grid))
        for some in (slice(first, first + together) for first in range(0, len(out), together)):
            # place: (samples, voxels of a box, axis); a turned volume is read where the inverse rotation leads
            place = grid @ turned[some] + centre[some, None]
            values = self._interpolated(place, shape[some], begin[some])
            out[some] = values.reshape(out[some].shape)

    def _interpolated(self, place: torch.Tensor, shape: torch.Tensor, begin: torch.Tensor) -> torch.Tensor:
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
        return total

    def _draw(self, out: Tensors, parts: Sequence[Part]) -> None:
        """Labels by a rule that looks around an atom: on the host."""
        begin = parts[0].there.start
        for part in parts:
            mine = slice(part.there.start - begin, part.there.stop - begin)
            drawn = {name: np.empty(tuple(tensor[mine].shape), _dtype(tensor)) for name, tensor in out.items()}
            draw_labels(drawn, part.served, part.here)
            for name, array in drawn.items():
                out[name][mine] = self._moved(array)

    def _scatter(self, out: Tensors, parts: Sequence[Part], labels: VolumeLabels) -> None:
        """Labels of one voxel an atom."""
        begin, box = parts[0].there.start, next(iter(out.values())).shape[-1]
        written: dict[str, list[tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]]] = {name: [] for name in out}
        for part in parts:
            before = (part.there.start - begin) * box**3
            for name, place, values in _voxels(part, labels, out.keys(), box):
                written[name].append((place + before, values))
        for name, found in written.items():
            out[name].zero_()
            places = np.concatenate([place for place, _ in found])
            out[name].view(-1)[self._moved(places)] = self._moved(np.concatenate([values for _, values in found]))


def _joined(parts: Sequence[Part], name: str) -> npt.NDArray[Any]:
    """A column of what is served, of all parts."""
    return np.concatenate([getattr(part.served, name)[part.here] for part in parts])


def _of_volumes(parts: Sequence[Part], of: Callable[[PoolVolume], Any]) -> npt.NDArray[np.int64]:
    """What is asked of its volume, for each sample of all parts."""
    told = [np.array([of(volume) for volume in part.served.volumes], dtype=np.int64) for part in parts]
    return np.concatenate([values[part.served.volume[part.here]] for part, values in zip(parts, told, strict=True)])


def _voxels(
    part: Part, labels: VolumeLabels, names: Collection[str], box: int
) -> Iterator[tuple[str, npt.NDArray[np.int64], npt.NDArray[np.uint8]]]:
    """Labels of one voxel an atom: name, places in the boxes of the part, flat, each at most once, and values."""
    served, here = part.served, part.here
    for name, written in served.written.items():
        if name in names:
            first, count = written.first[here], written.last[here] - written.first[here]
            sample = np.repeat(np.arange(len(first)), count)
            rows = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(len(sample))
            yield name, sample * box**3 + written.place[rows], written.values[rows]
    if served.near:
        cell, shape = labels.rule.cell(labels.recipe), (here.stop - here.start, box, box, box)
        for points in boxes_near(served, here, box):
            for name in points.values.keys() & names:
                yield name, *voxels_of(cell, points, name, shape)


def _dtype(tensor: torch.Tensor) -> np.dtype[Any]:
    return torch.empty(0, dtype=tensor.dtype).numpy().dtype
