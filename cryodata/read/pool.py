"""Decoded volumes of the blocks that are being served, and of those that come next, decoded ahead by threads.

Each volume is decoded once for each block that needs it, into a slot that is used again: the memory of an epoch is
stated before it starts and does not grow. While the last block of an epoch is served, the first of the next is decoded.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.subgrids import SubgridGrid
from cryodata.errors import CryodataError
from cryodata.formats.places import is_remote
from cryodata.read.ahead import Ahead
from cryodata.read.blocks import Begun, Blocks, Pass, Serving
from cryodata.read.cores import available_cores, blocks_held, decode_threads, slots_of_stream
from cryodata.read.decode import volumes_of
from cryodata.read.frame import clear_frame, framed, lead
from cryodata.read.served import PoolVolume, Served
from cryodata.read.slots import Slots
from cryodata.read.sources import Sampling, SubgridSource


class Pool:
    """Makes the blocks of some streams ready to be cut, and begins with the next; one reader at a time."""

    def __init__(
        self,
        source: SubgridSource,
        sampling: Sampling,
        passing: Pass,
        streams: tuple[int, ...],
        slots: Slots,
        shared: bool = False,
    ) -> None:
        """shared: other workers use the slots, too."""
        self.source, self.order, self.streams, self.slots = source, passing.order, streams, slots
        self.store, self._held = volumes_of(source.key), blocks_held(shared)
        self._blocks = Blocks(source, sampling, self.store)
        self._threads = ThreadPoolExecutor(decode_threads(), "cryodata-decode") if decode_threads() else None
        self._since, self._lock, self._ahead = passing.since, threading.Lock(), Ahead(self.store)
        # what is far away is waited for elsewhere, and slots of others may not be free
        self._waits_idle = shared or is_remote(source.key.root)
        self._slots_of_stream = slots_of_stream(self.order.block_volumes, len(source.volumes), self._held)
        # with fewer slots, the first block of an epoch may need those of the last one of the epoch before; and an epoch
        # whose end waits for a map that is decoded shall not wait for one that is fetched
        whole = self._slots_of_stream == self._held * self.order.block_volumes
        self._following = passing.following if whole and self._threads and not self._waits_idle else None
        self._turn = {stream: passing.left[stream].turn if stream in passing.left else 0 for stream in streams}
        "of the first block of each stream"

        self._begun = {(stream, begun.turn): begun for stream, begun in passing.left.items()}
        "by stream and turn"

        self._serving: dict[int, Serving] = {}
        for begun in passing.left.values():
            self._ask(begun)

    def at(self, stream: int, position: int, end: int, then: int) -> Serving:
        """The block of a position, ready; waits until its volumes are decoded. Blocks before it are let go.

        end: where the batch that asks for it ends in the stream. then: where the next batch of this reader begins.
        """
        serving = self._serving.get(stream)
        if serving is None or not serving.first <= position < serving.end:
            block = self.order.block_of(stream, position)
            self._pass(stream, block)
            self.begin(stream, block)
            if self._threads is not None:
                self._begin_next(stream, block + 1, end, then)
            ready = self._ready(self._begun[stream, self._turn[stream] + block])
            serving = Serving(block, *self.order.block_span(stream, block), ready)
            self._serving[stream] = serving
        return serving

    def leave(self, stream: int, then: int) -> None:
        """Let go of the blocks before a position, now and not when the next batch is asked for: others wait for them.

        The block of the position is begun.
        """
        if self.stays(stream, then):
            return
        over = then >= self.order.length(stream)
        block = self.order.blocks(stream) if over else self.order.block_of(stream, then)
        self._pass(stream, block)
        if self._threads is not None and not over:
            self.begin(stream, block)

    def stays(self, stream: int, then: int) -> bool:
        """Whether a position of a stream is in the block that is served of it."""
        return stream in self._serving and then < self._serving[stream].end

    def begin(self, stream: int, block: int) -> None:
        """Begin to decode a block, unless that was begun; on a single core that waits until the block is asked for.

        The one after the last is the first of the epoch that follows.
        """
        turn, blocks = self._turn[stream] + block, self.order.blocks(stream)
        if (stream, turn) in self._begun:
            return
        order, since = self.order, 0
        if block < blocks:
            since = self._since_in(stream, block)
        elif self._following is not None:
            order, block = self._following, 0
        begun = self._begun[stream, turn] = self._blocks.begin(order, stream, block, turn, since)
        for number in range(block, min(block + 2, order.blocks(stream))) if self.source.density else ():
            self._ahead.ask(self.source.volumes[order.volumes_of_block(stream, number)].tolist())
        self._ask(begun)

    def _ask(self, begun: Begun) -> None:
        """Have threads decode what is not there."""
        threads, places = self._threads, range(len(begun.samples.volumes))
        begun.ahead = [
            None if threads is None or place in begun.done else threads.submit(self._decode_ahead, begun, place)
            for place in places
        ]

    @property
    def idle_cores(self) -> int:
        """Cores on which nothing is decoded now, that of the reader aside."""
        begun = list(self._begun.values())
        decoding = sum(future is not None and not future.done() for block in begun for future in block.ahead)
        return available_cores() - 1 - min(decoding, decode_threads())

    def close(self) -> dict[int, Begun]:
        """Stop decoding and let go of everything but what was begun of the epoch that follows: that, by stream."""
        if sys.is_finalizing():  # threads have ended by then, and the system takes the rest
            return {}
        self._ahead.close()
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        self._serving.clear()
        left = {begun.stream: begun for begun in self._begun.values() if begun.order is self._following}
        for begun in left.values():
            begun.ahead = []
            del self._begun[begun.stream, begun.turn]
        for key in list(self._begun):
            self._release(key)
        return left

    def _begin_next(self, stream: int, block: int, end: int, then: int) -> None:
        """Begin a block if it will be asked for; `end` and `then` as for `at`."""
        if block < self.order.blocks(stream):
            first, last = self.order.block_span(stream, block)
            if first < end or then < last:  # a worker among many may leave a block out
                self.begin(stream, block)
        elif self._following is not None and self._following.blocks(stream):
            with suppress(CryodataError, OSError):  # the epoch that needs it tells
                self.begin(stream, block)

    def _pass(self, stream: int, block: int) -> None:
        """Let go of the blocks before one."""
        if stream in self._serving and self._serving[stream].block < block:
            del self._serving[stream]
        turn = self._turn[stream] + block
        for key in [key for key in self._begun if key[0] == stream and key[1] < turn]:
            self._release(key)

    def _release(self, key: tuple[int, int]) -> None:
        """Nothing may be decoded into a slot that others have, or that this reader has for another block."""
        begun = self._begun.pop(key)
        wait([future for future in begun.ahead if future is not None and not future.cancel()])
        for place in range(len(begun.ahead)):
            self.slots.release(self._slot(begun, place))

    def _slot(self, begun: Begun, place: int) -> int:
        first = self.streams.index(begun.stream) * self._slots_of_stream
        return first + begun.turn % self._held * self.order.block_volumes + place

    def _decode(self, begun: Begun, place: int, patient: bool) -> PoolVolume | None:
        """Have a volume in its slot, or None if that is not free yet."""
        samples, since, slot = begun.samples, begun.since, self._slot(begun, place)
        volume = int(samples.volumes[place])
        row, source = int(self.source.volumes[volume]), self.source
        grid = SubgridGrid.uniform(self.store.entries["shape_zyx"][row].as_py(), source.box, source.core)

        def fill(voxels: npt.NDArray[Any]) -> None:
            mine = samples.place[since:][samples.volume[since:] == volume]
            boxes = self._blocks.boxes(grid, np.unique(source.places(volume, mine)))
            frame = framed(voxels[lead(grid.margin) :], grid)
            if not self.slots.is_framed(slot, grid.shape_zyx):
                clear_frame(frame, grid)
            self.store.decode_density(row, frame[grid.inside], boxes)

        content = (begun.order.epoch, begun.stream, begun.block, volume, since)
        if source.density and not self.slots.hold(slot, content, fill, patient):
            return None
        begin = self.slots.begin_of(slot) + lead(grid.margin)
        voxels = framed(self.slots.voxels[begin:], grid) if source.density else self.slots.voxels
        return PoolVolume(voxels, begin, grid)

    def _since_in(self, stream: int, block: int) -> int:
        """First sample of a block that is served."""
        first, last = self.order.block_span(stream, block)
        return self._since - first if first < self._since < last else 0

    def _ready(self, begun: Begun) -> Served:
        # from the end: threads came from the other one
        for place in reversed(range(len(begun.ahead))):
            begun.done[place] = self._volume(begun, place)
        return begun.served or self._blocks.serve(begun, [begun.done[place] for place in range(len(begun.ahead))])

    def _decode_ahead(self, begun: Begun, place: int) -> PoolVolume | None:
        """Decode a volume if its slot is free; the last of a block makes that ready, too."""
        volume = self._decode(begun, place, False)
        if volume is not None:
            with self._lock:
                begun.done[place] = volume
                last = len(begun.done) == len(begun.samples.volumes)
            if last:
                begun.served = self._blocks.serve(begun, [begun.done[number] for number in range(len(begun.done))])
        return volume

    def _volume(self, begun: Begun, place: int) -> PoolVolume:
        """A volume of a block; decoded here if no thread has begun with it, else waited for."""
        ahead = begun.ahead[place]
        if ahead is None or ahead.cancel():
            volume = begun.done.get(place)
        else:
            while not ahead.done() and self._decode_another():
                pass
            volume = ahead.result()
        volume = volume or self._decode(begun, place, True)
        if volume is None:
            raise AssertionError("a slot that was waited for is held")
        return volume

    def _decode_another(self) -> bool:
        """Instead of waiting: a volume that no thread has begun with, for a block to come. False if there is none."""
        if self._waits_idle:
            return False
        for begun in self._begun.values():
            for place, ahead in enumerate(begun.ahead):
                if ahead is not None and not ahead.cancelled() and ahead.cancel():
                    with suppress(Exception):  # it is raised where the volume is asked for
                        volume = self._decode(begun, place, False)
                        if volume is not None:
                            begun.done[place] = volume
                    return True
        return False
