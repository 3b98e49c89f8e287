"""The life of an order: states, classification of answers, reconciliation.

Why: what is told about money is decided by pure functions, and every path of them
is a plain call in a test. May import `plan`, `policy`, `contract`, `trading` and
`model`. Nothing here waits, reads a clock or opens a file: moments and readings
come in as parameters, and what must be done goes out as commands.
The trap: an outcome is a promise. Whatever is not proven is ``unknown``.
"""

from __future__ import annotations
