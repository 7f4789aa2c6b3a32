"""Looks at what an admin would look at, and says what to do where something is wrong."""
