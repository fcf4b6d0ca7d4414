"""Fuzzing: foreign bytes for every door that takes them, and what has to be true afterwards.

A door is a module here with a class `Door`. `python -m tests.fuzz DOOR --runs N` tries it: by
coverage where atheris is installed (`pip install atheris`), else by chance. Each door has a
dictionary, seeds from the recordings, what fuzzing has found worth keeping in corpus/DOOR/,
and what once was a defect in tests/vectors/fuzz_DOOR/: pytest goes through all of them.
"""

from __future__ import annotations

DOORS = ("collector", "decode", "ganglia_xml", "interactive", "query", "pcap", "config", "web_config", "state")
"""In the order of how much depends on them."""
