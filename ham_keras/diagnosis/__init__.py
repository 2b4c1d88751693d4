"""Diagnose lesions: features of the lesion inside its outline, gradient-boosted trees, their scores and report."""
