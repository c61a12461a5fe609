"""Tests of hfdmd; the folders mirror the packages they test."""
