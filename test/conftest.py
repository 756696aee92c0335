"""What holds for all tests."""

import os

import pytest
from hypothesis import HealthCheck, settings

import facial_attributes_ros  # noqa: F401 - switches telemetry off before a test imports a dependency

if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes that each compute with as many threads as there are cores wait for each other most of the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Property tests are judged by what they find and not by how fast a busy machine runs them.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def _environment_stays():
    """A command that is run in the test's own process sets variables for its children, not for later tests."""
    before = dict(os.environ)
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)
