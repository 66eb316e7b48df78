"""What a split lets through: how much of what is held out training shows as well."""

from __future__ import annotations

from dataclasses import dataclass

LEVELS = (0.30, 0.50, 0.90)
"identities that are counted"


@dataclass(frozen=True, slots=True)
class LeakedChain:
    """A chain that is held out, and the chain of training that is most like it."""

    entry_id: str
    chain: str
    residues: int
    identity: float
    "of the best local alignment, 0 to 1"

    train_entry_id: str
    train_chain: str


@dataclass(frozen=True, slots=True)
class Held:
    """One split that is held out, against training."""

    split: str
    entries: int
    chains: int
    "of protein"

    residues: int
    "of these chains"

    above: tuple[int, ...]
    "residues of chains that training has a chain alike to, above each of LEVELS"

    same_archive: tuple[str, ...]
    "archive ids that stand on both sides"

    leaked: tuple[LeakedChain, ...]
    "the chains that are counted, most alike first"

    def share(self, level: float) -> float:
        """Share of the residues with a chain of training above one of LEVELS, 0 to 1."""
        return self.above[LEVELS.index(level)] / self.residues if self.residues else 0.0


@dataclass(frozen=True, slots=True)
class Leakage:
    """What one scheme of splits lets through."""

    scheme: str
    train_entries: int
    held: tuple[Held, ...]
