import pytest


@pytest.fixture(autouse=True)
def traced_for_cpus_here(traced_for_cpus):
    """Networks here are many, and run on this machine alone."""
