"""The hook's parts: what it says and does when libvirt calls it for a guest that comes or goes. Python 3.6 and nothing else."""
