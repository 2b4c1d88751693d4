"""Lesion segmentation in dermoscopy photographs: data, training, scoring."""

import os

# Before TensorFlow and albumentations are imported. What TensorFlow's C++ part logs and a user can mend comes as
# an exception too; albumentations would look for a newer release.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
