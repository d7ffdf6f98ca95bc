"""What every page of the studio needs: who may ask, how much they may send, and what is answered."""
