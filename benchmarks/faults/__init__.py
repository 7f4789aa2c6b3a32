"""Faults inflicted on a running loop, and what is held against Label Studio after each."""
