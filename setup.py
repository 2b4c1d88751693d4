"""What setup.cfg cannot say: the repository's configs/ are installed as ham_keras/configs/."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["ham_keras", "ham_keras.*"]), "ham_keras.configs"],
    package_dir={"ham_keras.configs": "configs"},
)
