"""How well the controller and its network are: one pure function, and whoever asks is told the same (docs/rest.md, health)."""

from ryu_vmmob.health.judge import judge
from ryu_vmmob.health.values import REASONS, Facts, Health, Loudness, Reason, Standing, Status, SwitchFacts, Thing, Tile

__all__ = ["REASONS", "Facts", "Health", "Loudness", "Reason", "Standing", "Status", "SwitchFacts", "Thing", "Tile", "judge"]
