"""Enlarge pictures on the machines of a Ray cluster, for RDN_upscale.py --cluster."""
