"""The parts of the benchmark. Each module has a function `measure(setup)` that returns figures."""
