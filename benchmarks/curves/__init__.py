"""The paper's comparison: data, networks, settings, runs, and what their rows say."""
