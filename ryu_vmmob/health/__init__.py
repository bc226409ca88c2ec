"""The state of health of the controller and its network: one pure function for all its readers (docs/rest.md, health)."""

from ryu_vmmob.health.judge import judge
from ryu_vmmob.health.values import REASONS, Facts, Health, Loudness, Reason, Standing, Status, SwitchFacts, Thing, Tile

__all__ = ["REASONS", "Facts", "Health", "Loudness", "Reason", "Standing", "Status", "SwitchFacts", "Thing", "Tile", "judge"]
