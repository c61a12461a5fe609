"""Tests of `hfdmd.wire`."""
