"""The owning team, and what all of its definitions share."""

import datetime as dt

from sequence_defs import Tenant

OWNER = "team:grocery"
START, END = dt.date(2017, 10, 23), dt.date(2017, 12, 4)
STORE_TIMEZONE = "America/New_York"

grocery = Tenant(name="grocery", tenant="grocery", description="Loyalty-card signals of a grocery chain.")
