"""Real virtual machines in the laboratory: QEMU guests that migrate live, with everything counted inside the guest."""
