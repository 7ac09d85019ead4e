"""The port: from weights in PyTorch to a verdict on an accelerator."""

import os

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
