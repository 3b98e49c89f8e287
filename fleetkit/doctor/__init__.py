"""What is wrong with this fleet, agent by agent, and what to do about it.

Why: one call that an analyst makes first when figures look odd, and that says what
is missing before an account may be traded. May import `gateway` and below.
The trap: the doctor must not make a sick agent sicker; it asks each agent two
questions, how it is and whose it is, and a third never.
"""

from fleetkit.doctor.examine import examine
from fleetkit.doctor.notebooks import notebook_advice

__all__ = ["examine", "notebook_advice"]
