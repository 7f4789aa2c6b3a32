"""What the demo, the benchmarks and the tests set up: Label Studio, the backend, people at work."""
