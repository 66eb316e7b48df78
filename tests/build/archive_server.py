"""EMDB and PDB on this machine: thirty entries in the archives' own layout, search answers, and faults on demand."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import random
import re
import socket
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import gemmi
import numpy as np

from cryodata.build.archive import FIELDS, METADATA
from cryodata.core.model import AtomicModel
from cryodata.formats.mrc import write_map
from cryodata.formats.structure import write_mmcif
from cryodata.prepare.potential import density_of
from cryodata.prepare.simulate import random_protein
from tests.servers import FileServer

FAULTS = ("stall", "truncate", "reset", "429", "500", "503", "shorter", "longer", "redirect", "changed", "mixed")
SEARCH_FAULTS = ("stall", "truncate", "reset", "429", "500", "503", "shorter", "longer", "redirect")

REAL = ("EMD-5830-box/emd_5830_box.map.gz 3j63_box.pdb", "EMD-6770-box/emd_6770_box.map.gz 5xsy_box.pdb",
        "EMD-2566-chain9/emd_2566_chain9.map.gz 3j6b_9.pdb", "EMD-8249/emd_8249.map.gz 5khe.cif")  # fmt: skip

STALL = 1.5
"seconds: more than the clients of the tests wait"


@dataclass
class Holdings:
    """What the archives have."""

    files: dict[str, bytes] = field(default_factory=dict)
    rows: list[dict[str, str]] = field(default_factory=list)

    def add(self, number: int, map_gz: bytes | None, models: dict[str, bytes], **fields: str) -> None:
        """An entry. models: text of mmCIF or PDB files by id; an empty one is listed and not there."""
        if map_gz is not None:
            self.files[f"emdb/structures/EMD-{number}/map/emd_{number}.map.gz"] = map_gz
        for name, content in models.items():
            is_pdb = content[:5] in (b"HEADE", b"ATOM ", b"REMAR", b"CRYST", b"HELIX", b"TITLE", b"MODEL")
            path = f"pdb/{name[1:3]}/pdb{name}.ent.gz" if is_pdb else f"mmCIF/{name[1:3]}/{name}.cif.gz"
            if content:
                self.files[f"pdb/structures/divided/{path}"] = gzip.compress(content, 1, mtime=0)
        row = dict.fromkeys(FIELDS, "")
        row |= {"emdb_id": f"EMD-{number}", "resolution": "3.5", "fitted_pdbs": ",".join(models)}
        row |= {METADATA["method"]: "singleParticle", METADATA["released"]: f"20{number % 20 + 5:02d}-06-01"}
        row |= {METADATA["article"]: f'On "{number}", again', METADATA["journal"]: "J. Inv. Sci."}
        self.rows.append(row | {key: value for key, value in fields.items() if key in row})


def holdings(folder: Path, shared_data: Path | None) -> Holdings:
    """Thirty entries that a build takes up, and two that its filter leaves out."""
    held = Holdings()
    for number in range(22):  # EMD-90000 to EMD-90021: right pairs, every fifth model in PDB format only
        map_gz, model = simulated_pair(folder, number)
        held.add(90000 + number, map_gz, {f"9s{number:02d}": as_text(folder, model, number % 5 == 4)})
    map_gz, model = simulated_pair(folder, 30)
    chains = [as_text(folder, model.take(model.chain == name), False) for name in np.unique(model.chain)]
    held.add(90030, map_gz, {"9m01": chains[0], "9m02": chains[1]})  # two models side by side
    moved = AtomicModel(**{name: getattr(model, name) for name in model.__slots__} | {"xyz": model.xyz + 0.7})
    held.add(90031, map_gz, {"9b01": as_text(folder, moved, False), "9b02": as_text(folder, model, False)})
    held.add(90032, map_gz, {"9n01": b"", "9n02": as_text(folder, model, True)})  # the first is not there
    held.add(90033, map_gz, {"9n03": b"", "9n04": b""})  # no_model
    held.add(90034, map_gz, {"9s00": b""})  # the model of another entry: model_does_not_fit, or outside
    held.add(90035, map_gz, {"9b02": b""})  # shared with EMD-90031
    held.add(90036, held.files["emdb/structures/EMD-90000/map/emd_90000.map.gz"], {"9s00": b""})  # duplicate_entry
    held.add(90037, None, {"9s01": b""})  # a map that is not there
    for number, item in enumerate(REAL if shared_data else ()):
        place, model_name = item.split()
        path = shared_data / "entries" / place
        text = (path.parent / model_name).read_bytes()
        held.add(91000 + number, path.read_bytes(), {f"8r{number:02d}": text})
    held.add(99000, map_gz, {"9s02": b""}, resolution="6.0")
    held.add(99001, map_gz, {})
    return held


def simulated_pair(folder: Path, seed: int) -> tuple[bytes, AtomicModel]:
    """A small map, gzip, and the model in it."""
    model = random_protein(seed, chains=2, residues=16, radius=22.0)
    density = density_of(model, resolution=3.5, voxel_size=1.2, margin=4.0, noise=0.2, seed=seed)
    write_map(folder / "map.gz", density)
    return (folder / "map.gz").read_bytes(), model


def as_text(folder: Path, model: AtomicModel, as_pdb: bool) -> bytes:
    """The model as mmCIF, or in PDB format."""
    write_mmcif(folder / "model.cif", model, "model")
    if not as_pdb:
        return (folder / "model.cif").read_bytes()
    structure = gemmi.read_structure(str(folder / "model.cif"))
    return structure.make_pdb_string().encode()


class Archive(FileServer):
    """The holdings over http. `whole` counts, by path, how often a client got all the right bytes."""

    def __init__(self, held: Holdings) -> None:
        super().__init__(Path())
        self.held, self.whole = held, Counter[str]()
        self.ignores_filter = self.ignores_page = False

    def environment(self) -> dict[str, str]:
        """What a client needs: addresses, and patience for a test."""
        return {
            "CRYODATA_EMDB_URL": f"{self.url}/emdb",
            "CRYODATA_PDB_URL": f"{self.url}/pdb",
            "CRYODATA_SEARCH_URL": f"{self.url}/search",
            "CRYODATA_SEARCH_ROWS": "7",
            "CRYODATA_FETCH_PAUSE": "0.001",
            "CRYODATA_FETCH_TIMEOUT": "0.5",
            "CRYODATA_FETCH_RATE": "100000",
        }

    def plan_faults(self, seed: int) -> None:
        """Faults for about half of the files, up to three after each other."""
        rng = random.Random(seed)
        for path in sorted(self.held.files):
            if rng.random() < 0.5:
                self.fail(path, *rng.choices(FAULTS, k=rng.randint(1, 3)))
        self.fail("search", *rng.choices(SEARCH_FAULTS, k=rng.randint(0, 4)))
        # stalls cost time: a few in each script are enough
        stalls = [path for path, faults in self.faults.items() if "stall" in faults]
        for path in stalls[2:]:
            self.faults[path] = deque("truncate" if fault == "stall" else fault for fault in self.faults[path])

    def answer(self, request: BaseHTTPRequestHandler, with_body: bool) -> None:
        path = unquote(urlsplit(request.path).path).lstrip("/").removeprefix("elsewhere/")
        searched = path.startswith("search/")
        faults = self.faults.get("search" if searched else path)
        fault = faults.popleft() if faults else ""
        self.requests.append(path)
        body = self.found(request.path) if searched else self.held.files.get(path)
        if fault == "redirect":
            send(request, 302, b"", {"Location": f"/elsewhere{request.path.removeprefix('/elsewhere')}"})
        elif fault == "reset":
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            request.connection.close()
            request.close_connection = True
        elif fault.isdigit() or body is None:
            send(request, int(fault or 404), b"the server's own words", {"Retry-After": "0"} if fault == "429" else {})
        else:
            self.deliver(request, path, body, fault)

    def deliver(self, request: BaseHTTPRequestHandler, path: str, right: bytes, fault: str) -> None:
        """The file, from where the client asks to go on if it names this very file; or as the fault has it."""
        body = gzip.compress(b"another file" * 999, 1, mtime=0) if fault in ("changed", "mixed") else right
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if request.headers.get("If-None-Match") == tag:
            send(request, 304, b"", {"ETag": tag})
            return
        head = re.fullmatch(r"bytes=0-(\d+)", request.headers.get("Range", ""))
        if head and not fault and int(head[1]) + 1 < len(body):  # the header alone
            told = f"bytes 0-{head[1]}/{len(body)}"
            send(request, 206, body[: int(head[1]) + 1], {"ETag": tag, "Content-Range": told})
            return
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        resumed = bool(asked) and (request.headers.get("If-Range") == tag or fault == "mixed") and first < len(body)
        first = first if resumed else 0
        rest = body[first:]
        request.send_response(206 if resumed else 200)
        request.send_header("ETag", tag)
        if resumed:
            request.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        length = len(rest) + {"shorter": -min(7, len(rest)), "longer": 100}.get(fault, 0)
        request.send_header("Content-Length", str(length))
        request.end_headers()
        request.close_connection = True
        if not fault:
            self.whole[path] += 1  # before it is sent: the client may look at once
        cut = fault in ("stall", "truncate", "changed", "mixed")
        request.wfile.write(rest[: len(rest) // 2] if cut else rest[:length])
        if fault == "stall":
            request.wfile.flush()
            time.sleep(STALL)

    def found(self, path: str) -> bytes:
        """The answer of the search service: CSV of a page."""
        parts = urlsplit(path)
        query, options = unquote(parts.path), {key: values[0] for key, values in parse_qs(parts.query).items()}
        rows = self.held.rows
        if "xref_links" in query and not self.ignores_filter:
            rows = [row for row in rows if row["fitted_pdbs"]]
            limits = re.search(r"resolution:\[([\d.]+) TO ([\d.]+)\]", query)
            if limits:
                rows = [row for row in rows if float(limits[1]) <= float(row["resolution"]) <= float(limits[2])]
        size, page = int(options["rows"]), 1 if self.ignores_page else int(options["page"])
        text = io.StringIO()
        writer = csv.DictWriter(text, options["fl"].split(","), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows[(page - 1) * size : page * size])
        return text.getvalue().encode()


def send(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
