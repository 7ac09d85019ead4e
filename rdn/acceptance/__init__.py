"""Acceptance: the verdicts on accuracy and speed, and the figures that test/'s scripts read from results and logs."""
