"""The production topology as components; topology.py wires them, the inventory says what there is."""
