"""A replay with a clock: what labels are worth that were given while something was computed."""
