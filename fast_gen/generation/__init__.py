"""`wavegen sample`: sessions, streams, primes and ranking."""
