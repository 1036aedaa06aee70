"""Tests of judging: anybody's table of predictions."""
