"""The map that a model would give in a microscope, with noise. gemmi serves here for its physics, not its formats."""

from __future__ import annotations

import gemmi
import numpy as np
import numpy.typing as npt

from cryodata.core.model import AtomicModel
from cryodata.core.volume import Volume

B_PER_RESOLUTION2 = 4.0
"mean B factor (A^2) per squared resolution: exp(-B s^2 / 4) is 1/e at s = 1 / resolution, as ChimeraX molmap"

CUTOFF = 1e-4
"density at which gemmi stops adding an atom"

REACH_PER_RESOLUTION = 2.5
"A of reach of an atom per A of resolution, B factor at its mean: there its density is far below the cutoff"


def density_of(
    model: AtomicModel, *, resolution: float, voxel_size: float, margin: float = 10.0, noise: float = 0.0, seed: int = 0
) -> Volume:
    """Potential of a model by electron scattering factors (C4322 of gemmi), blurred to a resolution; where the B factor
    is above its mean, by more.

    resolution, voxel_size, margin: A; the box is the model's with `margin` on every side. noise: standard deviation
    of the added noise, as a share of the density's, its amplitudes falling off as the resolution says. Returns
    float32 (nz, ny, nx) with an origin that is a multiple of voxel_size. Raises ValueError for a model without atoms
    and for sizes out of range.
    """
    if not len(model) or min(resolution, voxel_size) <= 0 or min(margin, noise) < 0:
        raise ValueError(
            f"expected atoms, resolution and voxel_size above 0, margin and noise of at least 0; found {len(model)} "
            f"atoms, resolution={resolution}, voxel_size={voxel_size}, margin={margin}, noise={noise}"
        )
    low = np.floor((model.xyz.min(axis=0) - margin) / voxel_size)
    shape_xyz = (np.ceil((model.xyz.max(axis=0) + margin) / voxel_size) - low).astype(int) + 1
    mean_b = float(model.b_factor.mean(dtype=np.float64)) or 1.0
    b_factors = B_PER_RESOLUTION2 * resolution**2 * model.b_factor.astype(np.float64) / mean_b
    # the grid is periodic: an atom must not reach round to the other side
    reach = REACH_PER_RESOLUTION * resolution * float(np.sqrt(model.b_factor.max() / mean_b))
    pad = max(0, int(np.ceil((reach - margin) / voxel_size)))
    density = _on_grid(model, b_factors, (low - pad) * voxel_size, shape_xyz + 2 * pad, voxel_size)
    density = np.ascontiguousarray(density[tuple(slice(pad, n - pad) for n in density.shape)])
    if noise:
        density += noise * density.std() * _noise(density.shape, voxel_size, resolution, seed)
    return Volume(density, np.full(3, voxel_size), low * voxel_size)


def _on_grid(
    model: AtomicModel,
    b_factors: npt.NDArray[np.float64],
    origin: npt.NDArray[np.float64],
    shape_xyz: npt.NDArray[np.int64],
    voxel_size: float,
) -> npt.NDArray[np.float32]:
    calculator = gemmi.DensityCalculatorE()
    calculator.cutoff = CUTOFF
    a, b, c = (float(length) for length in shape_xyz * voxel_size)
    calculator.grid.set_unit_cell(gemmi.UnitCell(a, b, c, 90, 90, 90))
    calculator.grid.set_size(*(int(count) for count in shape_xyz))
    calculator.add_model_density_to_grid(_gemmi_model(model, b_factors, origin))
    return np.asarray(calculator.grid, dtype=np.float32).transpose(2, 1, 0)


def _gemmi_model(
    model: AtomicModel, b_factors: npt.NDArray[np.float64], origin: npt.NDArray[np.float64]
) -> gemmi.Model:
    residue = gemmi.Residue()
    for xyz, element, b_factor, occupancy in zip(
        model.xyz - origin, model.element, b_factors, model.occupancy, strict=True
    ):
        atom = gemmi.Atom()
        atom.pos = gemmi.Position(*xyz)
        atom.element = gemmi.Element(str(element))
        atom.b_iso = float(b_factor)
        atom.occ = float(occupancy)
        residue.add_atom(atom)
    chain = gemmi.Chain("A")
    chain.add_residue(residue)
    result = gemmi.Model(1)
    result.add_chain(chain)
    return result


def _noise(shape: tuple[int, ...], voxel_size: float, resolution: float, seed: int) -> npt.NDArray[np.float32]:
    """Noise of standard deviation 1 whose amplitudes fall to 1/e at the resolution."""
    generator = np.random.Generator(np.random.PCG64(seed))
    amplitudes = np.fft.rfftn(generator.standard_normal(shape, dtype=np.float32))
    frequencies = [np.fft.fftfreq(n, voxel_size) for n in shape[:-1]] + [np.fft.rfftfreq(shape[-1], voxel_size)]
    for axis, frequency in enumerate(frequencies):
        falloff = np.exp(-((frequency * resolution) ** 2)).astype(np.float32)
        amplitudes *= falloff.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    noise = np.fft.irfftn(amplitudes, shape, axes=range(len(shape)))
    return np.asarray(noise / noise.std(), dtype=np.float32)
