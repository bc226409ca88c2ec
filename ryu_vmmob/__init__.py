"""Seamless virtual machine mobility for OpenFlow data centres.

This module stays empty of imports: the start-up file of the compatibility layer loads it in every Python process of the
environment, so it must cost nothing.
"""

__version__ = "0.1.0"
