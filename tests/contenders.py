"""Several that want one lock at the same time."""

import threading
import time

from dnr_jax.files import Busy


def come_at_once(held, count, seconds):
    """What becomes of so many threads that come to the lock of `held()`, sorted; who gets it keeps it for a while."""
    found = []

    def come():
        try:
            with held():
                found.append('held')
                time.sleep(seconds)
        except Busy:
            found.append('busy')

    threads = [threading.Thread(target=come) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found)
