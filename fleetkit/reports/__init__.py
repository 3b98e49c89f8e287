"""What trades come to, as curves, tables and figures: shared by panels and reports.

Why: a panel's small curve and a report's large one must agree to the cent. May import
`frames` and below; matplotlib enters fleetkit in `figures` here and nowhere else, and only
when something is drawn. The trap: agents give no history of equity. Everything here is
balance-based, and a loss that floats is not seen.
"""

from fleetkit.reports.curves import (
    Drawdown,
    Headline,
    balance_curve,
    drawdown,
    headline,
    profit_by,
)

__all__ = ["Drawdown", "Headline", "balance_curve", "drawdown", "headline", "profit_by"]
