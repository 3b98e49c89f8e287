"""What several tests need: scripted servers, other processes, the invariants of teardown."""
