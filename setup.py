"""Install the repository's configs/ as ham_keras/configs/, which setup.cfg cannot express."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["ham_keras", "ham_keras.*"]), "ham_keras.configs"],
    package_dir={"ham_keras.configs": "configs"},
)
