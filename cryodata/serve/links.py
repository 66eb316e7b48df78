"""Ready-made addresses: a volume with its labels in a viewer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np

from cryodata.core.schema import Schema

VIEW = "_float32"
"first part of the address of what is converted for viewers; no dataset can have this name"

HOSTED = "https://neuroglancer-demo.appspot.com/"
"Neuroglancer, as its makers host it"

VALIDATOR = "https://ome.github.io/ome-ngff-validator/?source="

PANEL = 350.0
"pixels of a panel that the map should fill"

SHADER = "#uicontrol invlerp normalized(range=[0, 1])\nvoid main() { emitGrayscale(normalized()); }\n"


def neuroglancer_link(base: str, name: str, row: Mapping[str, Any], schema: Schema, labels: bool) -> str:
    """Address of Neuroglancer, where its makers host it, with a volume in it.

    base: of the server; name: of the dataset; row: of its entries table; labels: the volume has them. The page reads
    from the server itself; what it shows is sent to nobody.
    """
    state = neuroglancer_state(f"{base}/{VIEW}/{quote(name)}/{quote(row['volume'])}", row, schema, labels)
    return f"{HOSTED}#!{quote(json.dumps(state, separators=(',', ':')))}"


def neuroglancer_state(address: str, row: Mapping[str, Any], schema: Schema, labels: bool) -> dict[str, Any]:
    """What Neuroglancer shows: the map in the middle of its panels, the first label over it, the others at hand."""
    size, count = np.asarray(row["voxel_size_xyz"]), np.asarray(row["shape_zyx"])[::-1]
    longest = float(np.max(size * count))
    density = {
        "type": "image",
        "name": schema.density.name,
        "source": f"{address}/|zarr3:",
        "shader": SHADER,
        "opacity": 1,
        "volumeRendering": "max",
    }
    others = [
        {
            "type": "segmentation",
            "name": array.name,
            "source": f"{address}/labels/{array.name}/|zarr3:",
            "segments": [str(item.value) for item in array.classes],
            "segmentColors": {str(item.value): item.color for item in array.classes},
            "selectedAlpha": 1,
            "visible": number == 0,
        }
        for number, array in enumerate(schema.labels if labels else ())
    ]
    return {
        "dimensions": {axis: [1e-10, "m"] for axis in "xyz"},
        "position": (np.asarray(row["origin_xyz"]) + (count - 1) / 2 * size).tolist(),
        "crossSectionScale": longest / PANEL,
        "projectionScale": 1.5 * longest,
        "layers": [density, *others],
        "layout": "4panel",
    }


def validator_link(base: str, volume: str) -> str:
    """Address of the OME-NGFF validator with a volume in it."""
    return f"{VALIDATOR}{base}/{quote(volume)}"
