"""A soak: `serve` with all outputs on, fed by a fleet in which much happens, and watched for as long as one likes.

`python -m tests.bench.soak --minutes 60` says at the end whether memory stayed flat, no
descriptor was lost, no total fell, every line of the log names its cause, and the pools have
what the fleet really did.
"""
