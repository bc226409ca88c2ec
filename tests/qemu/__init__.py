"""Moves of real virtual machines."""
