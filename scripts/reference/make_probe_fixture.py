"""
scikit-learn's logistic regression on values by formula, for the tests of the probes of packages/trainer.

    pip install scikit-learn numpy
    python make_probe_fixture.py [OUTPUT_DIRECTORY]
"""

import os
import sys

import numpy as np
import sklearn
from fixture_json import versions, write
from formula_values import filled, mixed
from sklearn.linear_model import LogisticRegression

SAMPLES, HELD_OUT, FEATURES, CLASSES = 90, 30, 6, 4


def data(samples: int, name: str):
    """Features in clusters that overlap; features of different sizes, so that the problem is ill-conditioned."""
    labels = mixed(f"probe.{name}.label", samples) % CLASSES
    centres = filled("probe.centre", (CLASSES, FEATURES))
    noise = filled(f"probe.{name}.noise", (samples, FEATURES), 1.5)
    scales = np.float32([1, 2, 4, 0.5, 0.25, 1])
    return (centres[labels] + noise) * scales, labels


def fixture() -> dict:
    x, y = data(SAMPLES, "train")
    held_x, held_y = data(HELD_OUT, "test")
    cases = []
    for strength in (1e-4, 0.1, 1.0, 30.0, 1e4):
        model = LogisticRegression(C=1 / strength, tol=1e-12, max_iter=100_000).fit(x.astype(np.float64), y)
        log_probabilities = model.predict_log_proba(x.astype(np.float64))
        value = -log_probabilities[np.arange(SAMPLES), y].sum() + strength / 2 * (model.coef_**2).sum()
        cases.append({
            "strength": strength,
            "weights": model.coef_.reshape(-1).tolist(),
            # Any constant may be added to the intercepts of all classes.
            "intercepts": (model.intercept_ - model.intercept_.mean()).tolist(),
            "value": value / SAMPLES,
            "accuracy": float((model.predict(held_x.astype(np.float64)) == held_y).mean()),
        })
    return {"samples": SAMPLES, "heldOut": HELD_OUT, "features": FEATURES, "classes": CLASSES, "cases": cases}


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../../packages/trainer/src/fixtures")
    write(os.path.join(output, "probe-sklearn.json"), {
        "madeBy": "scripts/reference/make_probe_fixture.py",
        "versions": versions(scikit_learn=sklearn.__version__),
        "about": "Inputs follow scripts/reference/formula_values.py: features are (probe.centre[label] + 1.5 probe.<set>.noise) * scales in float32, labels are words of probe.<set>.label mod classes.",
        "logistic": fixture(),
    })
