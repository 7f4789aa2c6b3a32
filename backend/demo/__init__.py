"""The demo: a Label Studio of its own, a sample project, the backend, and simulated annotators."""
