"""The command-line client ``vmmob``: one file for each command or group of commands, joined in ``main``."""
