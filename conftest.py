"""Settings of every test in the workspace."""

from hypothesis import settings

# Time limits per example measure the machine, not the code: test machines are small and shared.
settings.register_profile("workspace", parent=settings(), deadline=None)
settings.load_profile("workspace")
