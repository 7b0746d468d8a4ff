"""Tests of the mock cluster itself."""
