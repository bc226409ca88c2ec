"""Documentation of the options that every module has."""

from __future__ import annotations


class ModuleDocFragment:
    """Read by ``ansible-doc``."""

    DOCUMENTATION = r"""
options:
  url:
    description:
      - The controller's address, such as C(https://controller.example.org:8080).
      - Several addresses of one controller have commas between them. Where one does not answer, the next is asked.
      - Left out, the environment variable E(VMMOB_URL) has it.
    type: str
    required: true
  token:
    description:
      - An operator's token. Left out, the environment variable E(VMMOB_TOKEN) has it.
      - A controller without a token file wants none.
    type: str
  ca_path:
    description: A file with the certificates of those that may have signed the controller's certificate.
    type: path
  validate_certs:
    description: Whether the controller's certificate has to be good.
    type: bool
    default: true
  timeout:
    description: Seconds that the controller may take to answer, without those of O(wait).
    type: int
    default: 30
  wait:
    description:
      - Seconds, 0 to 600, to wait for the switches that the change concerns.
      - 0 does not wait.
    type: float
    default: 30
attributes:
  check_mode:
    description: Nothing is changed; the controller says what would happen, and what it would refuse.
    support: full
  diff_mode:
    description: What is different afterwards.
    support: full
"""
