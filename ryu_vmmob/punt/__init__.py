"""What the controller answers to packets that the switches hand to it.

Pure: a state and a frame go in, packets to send and news come out (`answer.answer`). Nothing here knows how a frame came or how
one is sent.
"""
