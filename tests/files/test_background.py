"""What goes on beside the work outlives an absent disk, leaves it alone most of the time, and ends with the work."""

import threading
import time

from dnr_jax.files import repeated


def test_it_acts_until_the_block_ends():
    acted, enough = [], threading.Event()

    def act():
        acted.append(time.monotonic())
        if len(acted) == 1:
            raise OSError('away')
        if len(acted) == 3:
            enough.set()

    with repeated(act, 0.02):
        assert enough.wait(10)
    time.sleep(0.1)
    count = len(acted)
    time.sleep(0.1)
    assert len(acted) == count


def test_a_pause_is_in_proportion_to_the_act_before():
    acted = []

    def act():
        acted.append(time.monotonic())
        time.sleep(0.05)

    with repeated(act, 0.01, share=4.0):
        time.sleep(0.6)
    assert min(later - earlier for earlier, later in zip(acted, acted[1:], strict=False)) > 5 * 0.05 - 0.01
