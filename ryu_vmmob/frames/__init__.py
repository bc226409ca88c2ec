"""Frames as bytes: those that a switch hands to the controller, read; those that the controller sends, built.

Pure: bytes and unsigned integers go in and come out (`ryu_vmmob.net.addresses`). `parse` reads, and never raises;
`arp_nd` and `icmp` build, without VLAN tags; `wire` has what both need, and puts a tag on.
"""
