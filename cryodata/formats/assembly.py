"""The biological assembly that a model file describes: pdbx_struct_assembly, REMARK 350 (gemmi)."""

from __future__ import annotations

import gemmi
import numpy as np

from cryodata.core.model import ChainCopy

FIRST = "1"
"name of the assembly that depositors put first"


def copies_of_assembly(structure: gemmi.Structure) -> tuple[ChainCopy, ...]:
    """Copies of polymer chains that assembly 1 adds to the deposited ones, in the order of the file; none if there is
    no such assembly, or if it is what was deposited."""
    assembly = next((item for item in structure.assemblies if item.name == FIRST), None)
    if assembly is None:
        return ()
    chain_of = {polymer.subchain_id(): chain.name for chain in structure[0] if len(polymer := chain.get_polymer())}
    there = set(chain_of.values())
    copies = []
    for generator in assembly.generators:
        # mmCIF names parts of chains, PDB files whole ones
        chains = there & {*generator.chains, *(chain_of[part] for part in generator.subchains if part in chain_of)}
        copies += [
            ChainCopy(
                tuple(sorted(chains)),
                np.array(operator.transform.mat.tolist(), dtype=np.float64),
                np.array(operator.transform.vec.tolist(), dtype=np.float64),
            )
            for operator in generator.operators
            if chains and not operator.transform.is_identity()
        ]
    return tuple(copies)
