"""What a cluster does, simulated to scale on one machine."""
