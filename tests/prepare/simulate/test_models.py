"""What a made-up model promises: the geometry, the fold, the sequence."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pydssp
import pytest

from cryodata.core.model import COIL, HELIX, STRAND, AtomicModel
from cryodata.core.volume import FloatArray
from cryodata.prepare import simulate
from cryodata.prepare.secondary import computed_secondary
from cryodata.prepare.sidechains import FREQUENCIES, SIDE_CHAINS, all_atoms
from cryodata.prepare.simulate import random_protein
from tests.prepare.simulate.conftest import RADIUS


def torsion(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> FloatArray:
    """Of four points, (..., 3) each: degrees, right-handed positive (IUPAC)."""
    first, axis, last = b - a, c - b, d - c
    normal, other = np.cross(first, axis), np.cross(axis, last)
    height = (np.cross(normal, other) * axis).sum(axis=-1) / np.linalg.norm(axis, axis=-1)
    return np.asarray(np.degrees(np.arctan2(height, (normal * other).sum(axis=-1))))


def chains_of(model: AtomicModel) -> list[AtomicModel]:
    return [model.take(model.chain == chain) for chain in np.unique(model.chain)]


def backbone_of(chain: AtomicModel) -> FloatArray:
    """N, CA, C, O of each residue, (n, 4, 3)."""
    return np.stack([chain.xyz[chain.atom == atom] for atom in ("N", "CA", "C", "O")], axis=1)


def same(one: AtomicModel, other: AtomicModel) -> bool:
    return all(np.array_equal(getattr(one, column.name), getattr(other, column.name)) for column in fields(one))


# geometry


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param("N", "CA", 1.458, id="N-CA"),
        pytest.param("CA", "C", 1.525, id="CA-C"),
        pytest.param("C", "O", 1.231, id="C-O"),
        pytest.param("CA", "CB", 1.530, id="CA-CB"),
    ],
)
def test_bonds_within_a_residue_have_their_ideal_length(
    model: AtomicModel, first: str, second: str, expected: float
) -> None:
    whole = model.take(model.residue != "GLY")

    lengths = np.linalg.norm(whole.xyz[whole.atom == first] - whole.xyz[whole.atom == second], axis=1)

    assert lengths == pytest.approx(expected, abs=0.005)


def test_the_peptide_bond_is_1_329_A_long_and_trans(model: AtomicModel) -> None:
    for chain in chains_of(model):
        _, ca, c, _ = backbone_of(chain).swapaxes(0, 1)
        n = chain.xyz[chain.atom == "N"]

        assert np.linalg.norm(n[1:] - c[:-1], axis=1) == pytest.approx(1.329, abs=0.005)
        assert np.abs(torsion(ca[:-1], c[:-1], n[1:], ca[1:])) == pytest.approx(180.0, abs=0.3)


def test_neighbouring_cas_are_3_8_A_apart(model: AtomicModel) -> None:
    for chain in chains_of(model):
        ca = chain.xyz[chain.atom == "CA"]

        assert np.linalg.norm(np.diff(ca, axis=0), axis=1) == pytest.approx(3.80, abs=0.02)


def test_every_ca_has_the_l_hand(model: AtomicModel) -> None:
    whole = model.take(model.residue != "GLY")
    n, ca, c, cb = (whole.xyz[whole.atom == atom] for atom in ("N", "CA", "C", "CB"))

    # seen from the hydrogen, CO, R, N go round clockwise: a positive volume, negative in the mirror
    volume = (np.cross(n - ca, c - ca) * (cb - ca)).sum(axis=1)

    assert volume.min() > 2.0


@pytest.mark.parametrize(
    ("residue", "first", "second", "expected"),
    [
        pytest.param("ILE", "CG1", "CG2", -122.7, id="ILE"),
        pytest.param("THR", "OG1", "CG2", -120.6, id="THR"),
        pytest.param("VAL", "CG1", "CG2", 122.6, id="VAL"),
    ],
)
def test_branches_at_cb_lie_as_in_measured_structures(
    model: AtomicModel, residue: str, first: str, second: str, expected: float
) -> None:
    # expected: medians over 348 Ile, 501 Thr, 474 Val of PDB entries 1fdo, 6xlu, 1a4w, 5ugo, 4i39, 1igy, 2src
    rows = model.take(model.residue == residue)
    n, ca, cb, one, two = (rows.xyz[rows.atom == atom] for atom in ("N", "CA", "CB", first, second))

    turn = torsion(n, ca, cb, two) - torsion(n, ca, cb, one)

    assert (turn + 180) % 360 - 180 == pytest.approx(expected, abs=2.0)


@pytest.mark.parametrize(
    ("residue", "first", "second", "expected"),
    [
        pytest.param("PRO", "CD", "N", 1.473, id="PRO"),
        pytest.param("HIS", "CE1", "NE2", 1.321, id="HIS"),
        pytest.param("PHE", "CE2", "CZ", 1.382, id="PHE"),
        pytest.param("TYR", "CE2", "CZ", 1.378, id="TYR"),
        pytest.param("TRP", "NE1", "CE2", 1.370, id="TRP, five-membered"),
        pytest.param("TRP", "CZ3", "CH2", 1.400, id="TRP, six-membered"),
    ],
)
def test_rings_close(residue: str, first: str, second: str, expected: float) -> None:
    backbone = backbone_of(random_protein(0, chains=1, residues=1, radius=12.0))
    names, xyz, _ = all_atoms(np.array([residue]), backbone)
    atoms = dict(zip(names.tolist(), xyz, strict=True))

    assert np.linalg.norm(atoms[first] - atoms[second]) == pytest.approx(expected, abs=0.02)


def test_every_residue_has_all_its_heavy_atoms(model: AtomicModel) -> None:
    expected = dict(zip("GLY ALA SER CYS THR VAL PRO ASN ASP ILE LEU MET GLN GLU LYS HIS PHE ARG TYR TRP".split(),
                        [4, 5, 6, 6, 7, 7, 7, 8, 8, 8, 8, 8, 9, 9, 9, 10, 11, 11, 12, 14], strict=True))  # fmt: skip

    _, first, count = np.unique(model.position, return_index=True, return_counts=True)

    assert [expected[name] for name in model.residue[first].tolist()] == count.tolist()
    assert set(SIDE_CHAINS) == set(expected)


# fold


def test_planned_helices_are_right_handed(model: AtomicModel) -> None:
    for chain in chains_of(model):
        ca, secondary = chain.xyz[chain.atom == "CA"], chain.secondary[chain.atom == "CA"]
        turns = torsion(ca[:-3], ca[1:-2], ca[2:-1], ca[3:])
        inside = np.lib.stride_tricks.sliding_window_view(secondary == HELIX, 4).all(axis=1)

        assert inside.sum() > 10
        assert turns[inside] == pytest.approx(50.0, abs=15.0)


@pytest.mark.parametrize("seed", range(3))
def test_an_independent_program_sees_the_planned_helices_and_sheets(seed: int) -> None:
    planned, seen = [], []
    for chain in chains_of(random_protein(seed)):
        ca = chain.atom == "CA"
        donors = (chain.residue[ca] != "PRO").astype(float)
        planned.append(chain.secondary[ca])
        seen.append(pydssp.assign(backbone_of(chain), donor_mask=donors, out_type="c3"))
    plan, dssp = np.concatenate(planned), np.concatenate(seen)

    assert set(plan.tolist()) == {COIL, HELIX, STRAND}
    assert (dssp[plan == HELIX] == "H").mean() > 0.97
    assert (dssp[plan == STRAND] == "E").mean() > 0.97
    assert (dssp[plan == COIL] == "-").mean() > 0.5


def test_our_own_kabsch_and_sander_sees_the_planned_helices_and_sheets(model: AtomicModel) -> None:
    seen, planned = computed_secondary(model), model.secondary

    assert (seen[planned == HELIX] == HELIX).mean() > 0.97
    assert (seen[planned == STRAND] == STRAND).mean() > 0.97


def test_no_two_cas_are_closer_than_4_A_but_neighbours(model: AtomicModel) -> None:
    rows = model.take(model.atom == "CA")
    gaps = np.linalg.norm(rows.xyz[:, None] - rows.xyz, axis=2)
    neighbours = (np.abs(rows.position[:, None] - rows.position) <= 1) & (rows.chain[:, None] == rows.chain)

    assert gaps[neighbours & (gaps > 0)].max() < 4.0
    assert gaps[~neighbours].min() > 3.99


@pytest.mark.parametrize("radius", [34.0, 45.0])
def test_every_atom_lies_in_the_sphere(radius: float) -> None:
    model = random_protein(3, radius=radius)

    assert np.linalg.norm(model.xyz, axis=1).max() <= radius


def test_a_chain_is_compact(model: AtomicModel) -> None:
    for chain in chains_of(model):
        ca = chain.xyz[chain.atom == "CA"]
        spread = np.sqrt(np.square(ca - ca.mean(axis=0)).sum(axis=1).mean())

        # folded proteins: 2.2 N^0.38 = 13.6 A (Skolnick 1997, J. Mol. Biol. 265, 217)
        # unfolded ones: 1.93 N^0.598 = 34 A (Kohn 2004, PNAS 101, 12491)
        assert spread < 21.0


# one seed, one model


def test_the_same_seed_gives_the_same_model(model: AtomicModel) -> None:
    assert same(model, random_protein(1, radius=RADIUS))


def test_another_seed_gives_another_model(model: AtomicModel) -> None:
    other = random_protein(2, radius=RADIUS)

    assert not same(model, other)
    assert model.residue[model.atom == "CA"].tolist() != other.residue[other.atom == "CA"].tolist()


# columns


def test_rows_go_chain_by_chain_and_residue_by_residue() -> None:
    model = random_protein(5, chains=3, residues=8)
    ca = model.take(model.atom == "CA")

    assert ca.chain.tolist() == ["A"] * 8 + ["B"] * 8 + ["C"] * 8
    assert ca.label_seq_id.tolist() == [*range(1, 9)] * 3
    assert ca.position.tolist() == [*range(24)]
    assert (np.diff(model.position) >= 0).all()
    assert np.array_equal(model.label_seq_id, model.auth_seq_id)
    assert model.atom[:4].tolist() == ["N", "CA", "C", "O"]


def test_columns_are_those_of_a_plain_protein(model: AtomicModel) -> None:
    assert set(model.entity_kind.tolist()) == {"peptide"}
    assert set(model.element.tolist()) == {"C", "N", "O", "S"}
    assert set(model.altloc.tolist()) == set(model.insertion_code.tolist()) == {""}
    assert (model.occupancy == 1).all()
    assert [model.xyz.dtype, model.label_seq_id.dtype, model.b_factor.dtype, model.secondary.dtype] == [
        np.float64, np.int32, np.float32, np.uint8,
    ]  # fmt: skip


def test_positions_survive_a_file_of_three_decimals(model: AtomicModel) -> None:
    assert np.array_equal(model.xyz, np.array([[float(f"{value:.3f}") for value in row] for row in model.xyz]))


def test_b_factors_change_slowly_along_the_chain(model: AtomicModel) -> None:
    for chain in chains_of(model):
        b_factor = chain.b_factor[chain.atom == "CA"]

        assert 15 <= b_factor.min() < b_factor.max() <= 60
        assert np.abs(np.diff(b_factor)).max() < 8
        assert np.abs(np.diff(np.sort(b_factor)[:: len(b_factor) // 2])).min() > 1


def test_residues_are_as_frequent_as_in_nature() -> None:
    models = [random_protein(seed, chains=1) for seed in range(8)]
    names = np.concatenate([model.residue[model.atom == "CA"] for model in models])

    found = np.array([(names == name).mean() for name in SIDE_CHAINS])

    assert sum(FREQUENCIES) == pytest.approx(1.0)
    # 960 residues: a frequency of 0.1 has a standard deviation of 0.01
    assert found == pytest.approx(np.array(FREQUENCIES), abs=0.035)


@pytest.mark.parametrize("seed", range(2))
def test_prolines_keep_to_loops_and_left_handed_residues_are_mostly_gly_asn_asp(seed: int) -> None:
    for chain in chains_of(random_protein(seed)):
        ca = chain.atom == "CA"
        n, alpha, c, _ = backbone_of(chain).swapaxes(0, 1)
        phi = torsion(c[:-1], n[1:], alpha[1:], c[1:])
        names = chain.residue[ca]

        assert set(chain.secondary[ca][names == "PRO"].tolist()) <= {COIL}
        assert np.isin(names[1:][phi > 0], ["GLY", "ASN", "ASP"]).mean() > 0.6


# refusals


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(
            {"chains": 0},
            "chains must be 1 to 26 and residues at least 1, found 0 and 120",
            id="no chain",
        ),
        pytest.param(
            {"residues": 0},
            "chains must be 1 to 26 and residues at least 1, found 2 and 0",
            id="no residue",
        ),
        pytest.param(
            {"radius": 10.0},
            "found no room for 2 chains of 120 residues in a sphere of radius 10 A: their atoms alone fill it; "
            "use a larger radius or fewer residues",
            id="too small for the atoms",
        ),
    ],
)
def test_what_cannot_be_made_is_refused_at_once(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 the whole message is compared
        random_protein(0, **settings)

    assert str(raised.value) == message


def test_the_search_for_a_fold_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "ATTEMPTS", 2)
    monkeypatch.setattr(simulate, "STEPS", 8)

    with pytest.raises(ValueError) as raised:  # noqa: PT011 the whole message is compared
        random_protein(0, chains=1, residues=60, radius=13.0)

    assert str(raised.value) == (
        "found no room for 1 chains of 60 residues in a sphere of radius 13 A: chain A failed 2 times; "
        "use a larger radius or fewer residues"
    )
