"""Training: patches, steps on each kind of processor, the schedule, checkpoints and progress."""
