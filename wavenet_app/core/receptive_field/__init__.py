"""Which inputs a network reads, and where its gradient's energy lies."""
