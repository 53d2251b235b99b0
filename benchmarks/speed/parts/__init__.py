"""The parts of the benchmark. Each module has `measure(setup)`, which yields figures."""
