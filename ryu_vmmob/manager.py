"""``vmmob-manager``: ``ryu-manager`` with the compatibility layer applied first, also where no start-up file is installed."""

from __future__ import annotations

from ryu_vmmob import compat


def main(args: list[str] | None = None) -> None:
    """Run Ryu's manager; same options, same applications. Raises CompatError if Ryu cannot be made safe,
    and SystemExit if it is another version.
    """
    compat.apply()
    from ryu.cmd import manager  # Ryu patches the standard library on import: not before this point

    try:
        compat.apply()  # the modules are loaded now; a part that failed while they loaded fails here, loudly
    except compat.OtherRyuError as error:
        raise SystemExit(f"vmmob: {error}") from error
    manager.main(args=args, prog="vmmob-manager")


if __name__ == "__main__":
    main()
