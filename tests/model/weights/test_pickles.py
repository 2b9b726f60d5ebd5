"""Checkpoints' pickles: tensors and NumPy's values are let through, anything else is refused with its remedy."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.serialization import get_safe_globals

from fbnetv3.weights import WeightsError
from fbnetv3.weights.pickles import NumpyValue, read_pickle

VALUES: dict[str, Any] = {
    "float64": np.float64(0.41),
    "float32": np.float32(0.41),
    "int64": np.int64(7),
    "bool": np.bool_(True),
    "string": np.str_("best"),
    "array": np.arange(6.0).reshape(2, 3),
    "array of objects": np.array([{"a": 1}, None], dtype=object),
    "dtype": np.dtype("float32"),
}


def saved(tmp_path: Path, content: Any, **settings: Any) -> Path:
    path = tmp_path / "old.pth"
    torch.save(content, path, **settings)
    return path


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_numpy_values_beside_tensors_are_passed_over(tmp_path: Path, value: Any) -> None:
    path = saved(tmp_path, {"model": {"x": torch.ones(2)}, "best": value})
    content = read_pickle(path)
    assert torch.equal(content["model"]["x"], torch.ones(2))
    assert isinstance(content["best"], NumpyValue)


def test_numpy_ones_name_for_its_folder(tmp_path: Path) -> None:
    """Files of the old format hold the names as they are, without a checksum."""
    path = saved(tmp_path, {"best": np.float64(0.4)}, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert b"numpy._core.multiarray" in content
    path.write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert isinstance(read_pickle(path)["best"], NumpyValue)


def test_what_pytorch_itself_allows_is_as_before(tmp_path: Path) -> None:
    path = saved(tmp_path, {"best": np.float64(0.4)})
    assert read_pickle(path)
    assert NumpyValue not in [one[0] for one in get_safe_globals() if isinstance(one, tuple)]
    with pytest.raises(Exception, match=r"multiarray\.scalar"):
        torch.load(path, weights_only=True)


def test_the_remedy_for_other_objects_works_as_printed(tmp_path: Path) -> None:
    path = saved(tmp_path, {"model": {"x": torch.ones(2)}, "arguments": argparse.Namespace(lr=0.1)})
    with pytest.raises(WeightsError, match=r"asks for argparse\.Namespace and is not read") as refused:
        read_pickle(path)
    [line] = re.findall(r'python -c "(.*)"', str(refused.value))
    code = line.replace("OLD.pth", str(path)).replace("NEW.pth", str(tmp_path / "new.pth"))
    subprocess.run([sys.executable, "-c", code], check=True)
    assert torch.equal(read_pickle(tmp_path / "new.pth")["model"]["x"], torch.ones(2))


@pytest.mark.filterwarnings("error")
def test_a_pickle_protocol_that_pytorch_does_not_read_has_the_same_remedy(tmp_path: Path) -> None:
    path = saved(tmp_path, {"model": OrderedDict(x=torch.ones(2))}, pickle_protocol=4)
    with pytest.raises(
        WeightsError, match=r"was pickled with a protocol that is not read\. .*weights_only=False"
    ):
        read_pickle(path)


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 and no more",
        b"\x80\x02}q\x00.",
        b"GIF89a",
        b"channels: 3\nlr: 0.1\n",
        b"\0" * 4096,
        b"{}",
    ],
)
def test_other_files_are_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"model\.pth is damaged or is no PyTorch checkpoint$"):
        read_pickle(path)
