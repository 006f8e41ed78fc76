"""Metrics, intervals, protocols and `mser evaluate`: every accuracy figure of the project comes from here."""
