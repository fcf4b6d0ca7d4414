"""Benchmarks: what a unit of work costs here and in the program that does the same elsewhere.

`python -m tests.bench` runs them all. They are no tests: pytest only sees that they run.
"""
