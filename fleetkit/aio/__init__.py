"""The core: every public call, implemented once, on the loop thread.

Why: `Fleet` and `AioFleet` are two lists of names over `AsyncFleet`; no twin can
drift. May import `doctor`, `gateway` and below. The trap: nothing here may block
or print, and nothing that changes may be touched from another thread; what other
threads may read is a frozen `Snapshot`.
"""

from fleetkit.aio.cache_view import AsyncCache
from fleetkit.aio.core import AsyncFleet

__all__ = ["AsyncCache", "AsyncFleet"]
