"""Trained models: finds, loads, describes and exports them."""
