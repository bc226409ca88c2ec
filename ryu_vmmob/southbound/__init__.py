"""Towards the switches, without Ryu: what their messages say, how much each may say, and what is sent in return.

The applications (``apps/``) call it with what Ryu received, and send what it returns. It has no clock, no thread and no
socket of its own.
"""
