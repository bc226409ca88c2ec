"""The man pages, made from the help texts of all commands and options: ``python -m ryu_vmmob.manual DIR``."""
