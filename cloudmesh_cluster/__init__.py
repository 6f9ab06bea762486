"""Compute clusters on OpenStack: one master, equal workers, wired, verified, or rolled back."""

__version__ = "0.1.0"
