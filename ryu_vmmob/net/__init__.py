"""The ground floor: addresses, protocol numbers and the ranges of keys that every other package may use."""
