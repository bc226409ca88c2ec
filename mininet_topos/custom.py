"""The topologies for the ``mn`` command.

``.venv/bin/python $(command -v mn) --custom mininet_topos/custom.py --topo twodcs --controller remote``, or
``--topo fabric,PATH`` for any fabric file.
"""

from __future__ import annotations

import sys
from pathlib import Path

# mn executes this file's text; it is no module there, so its own place has to be found another way
_root = str(Path(sys._getframe().f_code.co_filename).resolve().parent.parent)
if _root not in sys.path:
    sys.path.insert(0, _root)

from mininet_topos.topo import FabricTopo, one_dc, two_dcs  # noqa: E402

topos = {"onedc": one_dc, "twodcs": two_dcs, "fabric": FabricTopo}
