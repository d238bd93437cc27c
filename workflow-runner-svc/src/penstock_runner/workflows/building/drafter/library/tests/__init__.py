"""The tests that go into a package beside the tools they test."""
