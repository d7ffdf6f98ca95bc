"""Kinds of input: each module writes valid seeds, and gives the doors through which a mutated copy has to go."""
