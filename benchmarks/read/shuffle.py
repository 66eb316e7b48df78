"""How well is an epoch shuffled for its memory, beside a buffer of samples of the same bytes?

Every map is of 256 cubed voxels: 2,197 sub-grids. Ours: the keyed order by `pool_volumes`, with up to 8 streams; its
bytes are the decoded maps that it holds on two cores, served and next (`SubgridStream.memory`). The buffer is that of
Hugging Face `datasets` and WebDataset: maps in a random order, their samples in the order of the table, each drawn at
random from a buffer of as many samples of 196,608 bytes (float32 density, two labels) as fit the same bytes. Only the
order is computed, nothing is read. Three figures, each with what a full permutation gives:

* maps: distinct maps in a batch of 64;
* spread: how far apart two sub-grids of one map lie in the epoch, in the mean, relative to a full permutation: 1 there,
  about 0 if maps come one after the other;
* noise: variance of the batches' shares of each map, relative to a full permutation: 1 there. What a model learns from
  one map enters the mean of a batch with this factor; below 1, batches are more even than by chance.

    python -m benchmarks.read.shuffle          result kept
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.record import record
from cryodata.core.keyed import keyed_bits
from cryodata.core.order import EpochOrder
from cryodata.core.subgrids import SubgridGrid
from cryodata.read.cores import slots_of_stream
from cryodata.read.frame import frame_zyx

SIDE, BATCH, STREAMS, SAMPLE = 256, 64, 8, 196_608
Maps = npt.NDArray[np.int64]
"map of each sample, in the order of an epoch"


def pooled(counts: Maps, pool: int, streams: int, batch: int = BATCH) -> Maps:
    """Maps in the order of `SubgridStream`, whole batches."""
    order = EpochOrder(counts, 0, 0, streams, pool // streams)
    part = batch // streams
    lines = [
        np.concatenate([order.block(stream, block).volume for block in range(order.blocks(stream))])
        for stream in range(streams)
    ]
    steps = min(len(line) for line in lines) // part
    return np.stack([line[: steps * part].reshape(steps, part) for line in lines], axis=1).reshape(-1)


def buffered(counts: Maps, samples: int) -> Maps:
    """Maps in the order of a shuffle buffer over samples that come map by map."""
    rng = np.random.Generator(np.random.PCG64(0))
    shards = rng.permutation(len(counts))
    coming = np.repeat(shards, counts[shards])
    if samples >= len(coming):
        return rng.permutation(coming)
    buffer, served = coming[:samples].tolist(), []
    for place, following in zip(rng.integers(samples, size=len(coming) - samples), coming[samples:], strict=True):
        served.append(buffer[place])
        buffer[place] = following
    return np.concatenate([np.array(served, dtype=np.int64), rng.permutation(buffer)])


def figures(maps: Maps, counts: Maps, batch: int = BATCH) -> dict[str, float]:
    """Maps of a batch, spread and noise of an order."""
    whole = maps[: len(maps) // batch * batch].reshape(-1, batch)
    shares = np.zeros((len(whole), len(counts)))
    np.add.at(shares, (np.repeat(np.arange(len(whole)), batch), whole.reshape(-1)), 1)
    total = int(counts.sum())
    expected = batch * counts / total
    by_chance = (len(counts) - 1) * (total - batch) / (total - 1)  # of the next line, for a hypergeometric draw
    noise = ((shares - expected) ** 2 / expected).sum(axis=1).mean() / max(by_chance, 1e-9)
    apart = 0.0
    for number in np.flatnonzero(counts > 1):
        place = np.flatnonzero(maps == number)
        n = len(place)
        if n > 1:
            # sum of the distances of all pairs: each place counts once for every place before it, less those after
            apart += n / len(maps) * 2 * float(((2 * np.arange(n) - n + 1) * place).sum()) / (n * (n - 1))
    return {
        "maps": round(float((shares > 0).sum(axis=1).mean()), 2),
        "spread": round(apart / ((len(maps) + 1) / 3), 3),
        "noise": round(float(noise), 2),
    }


def compare(maps: int, pool: int, streams: int, side: int = SIDE, batch: int = BATCH) -> dict[str, Any]:
    """Ours and a buffer of the same bytes."""
    grid = SubgridGrid.uniform((side,) * 3)
    counts = np.full(maps, len(grid), dtype=np.int64)
    voxels = int(np.prod(frame_zyx(grid)))
    size = streams * slots_of_stream(pool // streams, maps, held=2) * voxels * 2  # float16
    samples = max(1, size // SAMPLE)
    return {
        "volumes": maps,
        "pool_volumes": pool,
        "streams": streams,
        "bytes": size,
        "ours": figures(pooled(counts, pool, streams, batch), counts, batch),
        "buffer samples": samples,
        "buffer": figures(buffered(counts, samples), counts, batch),
    }


def main(
    volumes: tuple[int, ...] = (12, 120), pools: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64), side: int = SIDE
) -> list[dict[str, Any]]:
    """All rows, printed; the last of each number of volumes mixes all of them."""
    rows = []
    for maps in volumes:
        for pool in (*(pool for pool in pools if pool < maps), maps):
            row = compare(maps, pool, 1 if pool == maps else min(pool, STREAMS), side)
            rows.append(row)
            print(
                f"{maps:4d} maps, pool_volumes={pool:3d}, streams={row['streams']}: {row['bytes'] / 2**20:7,.0f} MiB  "
                f"ours {row['ours']}  buffer of {row['buffer samples']:,} {row['buffer']}"
            )
        counts = np.full(maps, len(SubgridGrid.uniform((side,) * 3)), dtype=np.int64)
        shuffled = np.repeat(np.arange(maps), counts)[np.argsort(keyed_bits(np.arange(counts.sum()), "full"))]
        rows.append({"volumes": maps, "full permutation": figures(shuffled, counts)})
        print(f"{maps:4d} maps, full permutation: {rows[-1]['full permutation']}")
    return rows


if __name__ == "__main__":
    print(record("shuffle", ("numpy",), main()))
