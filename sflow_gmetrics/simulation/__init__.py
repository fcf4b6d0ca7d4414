"""A fleet of simulated Host sFlow agents, for demonstrations, load and tests of the truth.

`Fleet` is pure: time is an argument, the same seed gives the same datagrams, and its ledger
says what work was really done. `run` sends them.
"""

from .fleet import Churn, Fleet, pools_toml
from .ledger import Account, Ledger, Work
from .sender import run

__all__ = ["Account", "Churn", "Fleet", "Ledger", "Work", "pools_toml", "run"]
