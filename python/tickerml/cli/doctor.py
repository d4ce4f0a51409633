"""`tickerml doctor`: what is wrong with this machine, and what mends it."""

import click

from tickerml.cli.options import common, globals_of
from tickerml.cli.output import emit

__all__ = ["doctor"]

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@common
def doctor(strict: bool) -> int:
    """Check build, configuration, disk, clock and venues; exit 1 where something fails."""
    from tickerml.doctor import diagnose

    given = globals_of()
    checks = diagnose(given.load, given.data_dir())
    bad = {"fail", "warn"} if strict else {"fail"}
    ok = not any(check.state in bad for check in checks)

    def lines() -> str:
        rows = []
        for check in checks:
            mark = click.style(f"{check.state:4}", fg=COLOURS[check.state]) if given.color else f"{check.state:4}"
            rows.append(f"{mark}  {check.name}: {check.fact}" + (f"\n      -> {check.fix}" if check.fix else ""))
        return "\n".join([*rows, "fit" if ok else "not fit: mend what failed"])

    emit({"ok": ok, "checks": [check._asdict() for check in checks]}, lines)
    return 0 if ok else 1
