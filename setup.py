"""Packages of the library; everything else about the project stands in pyproject.toml.

`training/` is installed under the name `facial_attributes_training`, and the recipes that it trains by go with it; so
does the policy of the dialogue with the library.
"""

from setuptools import find_packages, setup

TRAINING = "facial_attributes_training"
RECIPES = f"{TRAINING}.recipes"
POLICY = "facial_attributes_ros.dialogue.config"

setup(
    packages=[
        *find_packages(include=["facial_attributes_ros", "facial_attributes_ros.*"]),
        TRAINING,
        *(f"{TRAINING}.{package}" for package in find_packages("training")),
        RECIPES,
        POLICY,
    ],
    package_dir={TRAINING: "training", RECIPES: "config/recipes", POLICY: "config"},
    package_data={
        "facial_attributes_ros": ["py.typed", "models/weights/**", "web/**", "dialogue/languages/**"],
        POLICY: ["dialogue.yaml"],
        TRAINING: ["py.typed", "reports/templates/*.jinja"],
        RECIPES: ["*.yaml", "ladder/*.yaml"],
    },
    include_package_data=False,
    zip_safe=False,
)
