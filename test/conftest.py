"""What holds for all tests."""

from hypothesis import HealthCheck, settings

import facial_attributes_ros  # noqa: F401 - switches telemetry off before a test imports a dependency

# Property tests are judged by what they find and not by how fast a busy machine runs them.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
