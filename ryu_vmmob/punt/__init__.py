"""The controller's answers to punted packets.

Pure: a state and a frame go in, packets to send and news come out (`answer.answer`). Nothing here knows how a frame came or how
one is sent.
"""
