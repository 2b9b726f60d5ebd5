import warnings

import numpy as np
import pytest

from fbnetv3.arrays import sigmoid, softmax


def test_the_sigmoid_of_any_logit():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sigmoid(np.array([-1e6, -np.log(3), 0, np.log(3), 1e6]))
    np.testing.assert_allclose(found, [0, 0.25, 0.5, 0.75, 1], atol=1e-15)


@pytest.mark.parametrize("shift", [0.0, -1e6, 1e6])
def test_the_softmax_of_rows(shift: float):
    logits = np.array([[0, np.log(3)], [-np.inf, 0]]) + shift
    np.testing.assert_allclose(softmax(logits), [[0.25, 0.75], [0, 1]], atol=1e-9)
    np.testing.assert_allclose(softmax(logits[0]), [0.25, 0.75], atol=1e-9)


def test_the_softmax_of_no_rows():
    assert softmax(np.zeros((0, 4))).shape == (0, 4)
