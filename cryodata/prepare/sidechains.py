"""Internal coordinates of proteins (side chains, helices, sheets, loops) and the rule that gives their positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryodata.core.model import COIL, HELIX, STRAND
from cryodata.core.volume import FloatArray, IndexArray

BACKBONE = ("N", "CA", "C", "O")

# Engh & Huber 1991, Acta Cryst. A47, 392, as are the bonds and angles of the side chains: A and degrees
N_CA, CA_C, C_N, C_O = 1.458, 1.525, 1.329, 1.231
N_CA_C, CA_C_N, C_N_CA, CA_C_O = 111.2, 116.2, 121.7, 120.8
OMEGA = 180.0  # every peptide bond is trans

CB = "CB N C CA 1.530 110.1 122.6"
"of every residue but Gly and Pro; the torsion follows from the three angles at CA and the L hand"

SIDE_CHAINS = {
    "ALA": "",
    "ARG": "CG N CA CB 1.520 114.1 -67, CD CA CB CG 1.520 111.3 180, NE CB CG CD 1.461 112 180, "
           "CZ CG CD NE 1.329 124.2 180, NH1 CD NE CZ 1.326 120 0, NH2 CD NE CZ 1.326 119.7 180",
    "ASN": "CG N CA CB 1.516 112.6 -65, OD1 CA CB CG 1.231 120.8 -40, ND2 CA CB CG 1.328 116.4 140",
    "ASP": "CG N CA CB 1.516 112.6 -68, OD1 CA CB CG 1.249 118.4 -25, OD2 CA CB CG 1.249 118.4 155",
    "CYS": "SG N CA CB 1.808 114.4 -63",
    "GLN": "CG N CA CB 1.520 114.1 -67, CD CA CB CG 1.516 112.6 180, OE1 CB CG CD 1.231 120.8 -25, "
           "NE2 CB CG CD 1.328 116.4 155",
    "GLU": "CG N CA CB 1.520 114.1 -67, CD CA CB CG 1.516 112.6 180, OE1 CB CG CD 1.249 118.4 -10, "
           "OE2 CB CG CD 1.249 118.4 170",
    "GLY": "",
    "HIS": "CG N CA CB 1.497 113.8 -65, ND1 CA CB CG 1.378 122.7 -70, CD2 CA CB CG 1.354 131.2 110, "
           "CE1 CB CG ND1 1.321 109.3 180, NE2 CB CG CD2 1.374 107.2 180",
    "ILE": "CG1 N CA CB 1.530 110.4 -64, CG2 N CA CB 1.521 110.5 173.4, CD1 CA CB CG1 1.513 113.8 170",
    "LEU": "CG N CA CB 1.530 116.3 -65, CD1 CA CB CG 1.521 110.7 174, CD2 CA CB CG 1.521 110.7 -63.3",
    "LYS": "CG N CA CB 1.520 114.1 -67, CD CA CB CG 1.520 111.3 180, CE CB CG CD 1.520 111.3 180, "
           "NZ CG CD CE 1.489 111.9 180",
    "MET": "CG N CA CB 1.520 114.1 -65, SD CA CB CG 1.803 112.7 -65, CE CB CG SD 1.791 100.9 -70",
    "PHE": "CG N CA CB 1.502 113.8 -65, CD1 CA CB CG 1.384 120.7 -85, CD2 CA CB CG 1.384 120.7 95, "
           "CE1 CB CG CD1 1.382 120.7 180, CE2 CB CG CD2 1.382 120.7 180, CZ CG CD1 CE1 1.382 120 0",
    "PRO": "CB N C CA 1.530 110.1 114, CG N CA CB 1.492 104.5 28, CD CA CB CG 1.503 106.1 -32",
    "SER": "OG N CA CB 1.417 111.1 62",
    "THR": "OG1 N CA CB 1.433 109.6 62, CG2 N CA CB 1.521 110.5 -58.6",
    "TRP": "CG N CA CB 1.498 113.6 -65, CD1 CA CB CG 1.365 126.9 -85, CD2 CA CB CG 1.433 126.8 95, "
           "NE1 CB CG CD1 1.374 110.2 180, CE2 CB CG CD2 1.409 107.2 180, CE3 CB CG CD2 1.398 133.9 0, "
           "CZ2 CG CD2 CE2 1.394 122.4 180, CZ3 CG CD2 CE3 1.382 118.6 180, CH2 CD2 CE2 CZ2 1.368 117.5 0",
    "TYR": "CG N CA CB 1.512 113.9 -65, CD1 CA CB CG 1.389 120.8 -85, CD2 CA CB CG 1.389 120.8 95, "
           "CE1 CB CG CD1 1.382 121.2 180, CE2 CB CG CD2 1.382 121.2 180, CZ CG CD1 CE1 1.378 119.6 0, "
           "OH CD1 CE1 CZ 1.376 119.9 180",
    "VAL": "CG1 N CA CB 1.521 110.5 175, CG2 N CA CB 1.521 110.5 -62.4",
}  # fmt: skip
"""Atom, three atoms before it (a b c), length c-atom, angle b-c-atom, torsion a-b-c-atom; one common rotamer each.

The torsions of two branches of one atom differ by 122.6 (120.6 in Thr), which gives the right hand at CB of Ile and
Thr and the right names in Val and Leu. Pro has its C-gamma endo pucker; its ring closes with CD 1.47 A from N.
"""

LEAST_REACH = 2.6
"no atom of Ala, Gly, Ser, Thr or Val is farther from its CA than this, A; Arg, the longest, reaches 7.3 A"

# Background of Cryo2Struct's hidden Markov model (jianlin-cheng/Cryo2Struct), in the order of SIDE_CHAINS
FREQUENCIES = (
    0.0794394802, 0.0497783412, 0.0443390410, 0.0535018633, 0.0226261031, 0.0393752684, 0.0562782096,
    0.0721772439, 0.0188261086, 0.0610804483, 0.0979991826, 0.0533146309, 0.0217037253, 0.0453502210,
    0.0417436931, 0.0641667013, 0.0586559855, 0.0124960171, 0.0359836111, 0.0711641245,
)  # fmt: skip

# phi and psi, degrees
ALPHA = (-57.0, -47.0)  # IUPAC-IUB 1970, Biochemistry 9, 3471
# Own least-squares fit: with the bonds and angles above, strands of an even number of residues that are joined by
# type I' turns have N-O 2.8 to 3.0 A in every pair, and no clash. The residues of a strand alternate; those beside a
# turn differ.
EVEN, ODD, AFTER_TURN, BEFORE_TURN = (-120.0, 112.0), (-110.0, 119.0), (-95.0, 124.0), (-151.0, 139.0)
TURN = ((62.0, 34.0), (75.0, 5.0))
# Loops: alpha, polyproline II, beta, left-handed, and how often; round numbers of our own
LOOP = np.array([(-65.0, -40.0), (-70.0, 145.0), (-120.0, 130.0), (60.0, 40.0)])
LOOP_WEIGHTS = (0.28, 0.40, 0.25, 0.07)
LOOP_LENGTHS = (3, 8)
"residues of a loop: at least, and less than"

HELIX_SPREAD, STRAND_SPREAD, LOOP_SPREAD = 3.0, 0.3, 12.0
"standard deviations of phi and psi, degrees; small in a sheet, whose hydrogen bonds bear no more"


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A loop and the helix or sheet that follows it, or a loop alone."""

    torsions: FloatArray
    "mean phi and psi, float64 (n, 2), degrees; NaN in the loop"

    spread: FloatArray
    "standard deviation of phi and psi, float64 (n,), degrees"

    secondary: npt.NDArray[np.uint8]
    "planned class, uint8 (n,)"

    def draw(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Phi and psi of some foldings of the segment, float64 (count, n, 2), degrees."""
        basins = LOOP[rng.choice(len(LOOP), size=(count, len(self.spread)), p=LOOP_WEIGHTS)]
        mean = np.where(np.isnan(self.torsions), basins, self.torsions)
        return np.asarray(mean + self.spread[:, None] * rng.standard_normal(mean.shape))


def next_segment(rng: np.random.Generator, left: int) -> Segment:
    """A random segment of at most `left` residues: helix, sheet of 2 to 4 strands, or the last loop."""
    loop = int(rng.integers(*LOOP_LENGTHS))
    room = left - loop - 3  # a chain ends in a loop
    length, strand, strands = int(rng.integers(9, 19)), 2 * int(rng.integers(2, 5)), int(rng.integers(2, 5))
    if rng.random() < 0.5 and strands * (strand + 2) - 2 <= min(room, 30):
        return _segment(loop, _sheet(strand, strands), STRAND, STRAND_SPREAD)
    if room >= 8:
        return _segment(loop, [ALPHA] * min(length, room), HELIX, HELIX_SPREAD)
    return _segment(left, [], COIL, LOOP_SPREAD)


def _sheet(length: int, strands: int) -> list[tuple[float, float]]:
    """Phi and psi of an antiparallel sheet whose strands follow each other along the chain."""
    torsions: list[tuple[float, float]] = []
    for index in range(strands):
        strand = [EVEN, ODD] * (length // 2)
        if index > 0:
            torsions += TURN
            strand[0] = AFTER_TURN
        if index < strands - 1:
            strand[-1] = BEFORE_TURN
        torsions += strand
    return torsions


def _segment(loop: int, torsions: Sequence[tuple[float, float]], kind: int, spread: float) -> Segment:
    mean = np.array([(np.nan, np.nan)] * loop + list(torsions))
    secondary = np.full(len(mean), COIL, dtype=np.uint8)
    # as in Kabsch & Sander 1983, an element begins after its first hydrogen-bonded residue and ends before its last
    secondary[loop + 1 : -1] = kind
    secondary[mean[:, 0] > 0] = COIL  # turns within a sheet
    return Segment(mean, np.repeat([LOOP_SPREAD, spread], [loop, len(torsions)]), secondary)


def place(before: Sequence[FloatArray], bond: float, angle: float, torsion: float | FloatArray) -> FloatArray:
    """Position of the atom that has this bond, angle and torsion to three earlier ones.

    before: atoms a, b, c, float64 (..., 3) each, A; the new atom is bound to c. bond: A. angle: b-c-new, degrees.
    torsion: a-b-c-new, degrees, a number or float64 (...). Returns float64 (..., 3), A.
    """
    a, b, c = before
    along = unit(c - b)
    normal = unit(cross(b - a, along))
    turn = np.radians(np.asarray(torsion, dtype=np.float64))[..., None]
    bend = np.radians(angle)
    sideways = np.cos(turn) * cross(normal, along) + np.sin(turn) * normal
    return np.asarray(c + bond * (np.sin(bend) * sideways - np.cos(bend) * along))


def grow(anchor: FloatArray, psi_before: FloatArray, torsions: FloatArray) -> FloatArray:
    """Backbones that go on from a residue.

    anchor: N, CA, C of the residue before, float64 (m, 3, 3), A; psi_before: its psi, (m,), degrees. torsions: phi
    and psi of the new residues, float64 (m, n, 2), degrees. Returns N, CA, C, O, CB of each, float64 (m, n, 5, 3),
    A; CB is where an L residue other than proline has it.
    """
    n, ca, c = np.moveaxis(anchor, 1, 0)
    chain = []
    psi = psi_before
    for phi, psi_next in torsions.transpose(1, 2, 0):
        n_next = place((n, ca, c), C_N, CA_C_N, psi)
        ca_next = place((ca, c, n_next), N_CA, C_N_CA, OMEGA)
        n, ca, c = n_next, ca_next, place((c, n_next, ca_next), CA_C, N_CA_C, phi)
        chain.append((n, ca, c))
        psi = psi_next
    n, ca, c = np.array(chain).transpose(1, 2, 0, 3)  # each: (m, n, 3)
    o = place((n, ca, c), C_O, CA_C_O, torsions[:, :, 1] + 180.0)
    _, (bond, angle, torsion) = _placement(CB)
    return np.stack([n, ca, c, o, place((n, c, ca), bond, angle, torsion)], axis=2)


def all_atoms(
    residues: npt.NDArray[np.str_], backbone: FloatArray
) -> tuple[npt.NDArray[np.str_], FloatArray, IndexArray]:
    """Every heavy atom of a run of residues, residue by residue, in the order N, CA, C, O, CB and outward.

    residues: three-letter names, (n,); backbone: N, CA, C, O, float64 (n, 4, 3), A. Returns the atom names (k,),
    positions float64 (k, 3) in A, and the residue each belongs to, 0-based, int64 (k,).
    """
    names, xyz, index = [], [], []
    for residue in np.unique(residues):
        rows = np.flatnonzero(residues == residue)
        atoms = dict(zip(BACKBONE, backbone[rows].swapaxes(0, 1), strict=True))
        for (atom, a, b, c), (bond, angle, torsion) in _placements(str(residue)):
            atoms[atom] = place((atoms[a], atoms[b], atoms[c]), bond, angle, torsion)
        names.append(np.tile(list(atoms), len(rows)))
        xyz.append(np.stack(list(atoms.values()), axis=1).reshape(-1, 3))
        index.append(np.repeat(rows, len(atoms)))
    flat_index = np.concatenate(index)
    order = np.argsort(flat_index, kind="stable")
    return np.concatenate(names)[order], np.concatenate(xyz)[order], flat_index[order]


def unit(vector: FloatArray) -> FloatArray:
    """Vectors of length 1 along the last axis."""
    return np.asarray(vector / np.sqrt((vector * vector).sum(axis=-1, keepdims=True)))


def cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Cross product along the last axis; np.cross takes longer than the arithmetic on arrays this small."""
    ax, ay, az = np.moveaxis(a, -1, 0)
    bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def _placements(residue: str) -> list[tuple[list[str], list[float]]]:
    rows = SIDE_CHAINS[residue].split(", ") if SIDE_CHAINS[residue] else []
    return [_placement(row) for row in ([] if residue in ("GLY", "PRO") else [CB]) + rows]


def _placement(row: str) -> tuple[list[str], list[float]]:
    words = row.split()
    return words[:4], [float(word) for word in words[4:]]
