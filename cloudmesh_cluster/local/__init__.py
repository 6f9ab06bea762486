"""The embedded OpenStack: a real cloud on this machine."""
