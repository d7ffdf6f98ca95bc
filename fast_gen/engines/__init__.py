"""Engines that generate sample by sample, and the contract that they all keep."""
