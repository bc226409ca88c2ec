"""What runs on a hypervisor: it tells the controller when a VM pauses, arrives or fails, and sends on the frames of the pause.

docs/libvirt.md says how it is used. Nothing here knows Ryu or eventlet.
"""
