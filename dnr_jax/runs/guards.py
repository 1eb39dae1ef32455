"""What may end a run from outside of it."""

from typing import NamedTuple

from dnr_jax.runs.stopping import StopRequest
from dnr_jax.runs.watchdog import Watchdog


class Guards(NamedTuple):
    """A request to stop, and the end of patience with what is waited for."""

    stop: StopRequest
    watchdog: Watchdog

    def wait_for(self, what: str) -> None:
        """A safe place: answers a request to stop, and then waits for this, but not for ever."""
        self.stop.check()
        self.watchdog.expect(what)
