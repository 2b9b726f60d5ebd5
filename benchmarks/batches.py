"""Would it pay to join images into batches, or to let requests take turns? ONNX Runtime on this machine's CPU.

    python benchmarks/batches.py [--weights NAME_OR_FILE] [--rounds N]

Uses a generated scene. Everything is a ratio of times for the same work: the parts of the network on four images at
once over four times on one, and whole images from several threads, together or in turns, over one thread.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import onnxruntime
import torch
from measuring.rounds import alternate
from measuring.sheets import Sheet

from fbnetv3.detector import Detector
from fbnetv3.engines import exports
from fbnetv3.engines.engine import Wanted
from fbnetv3.engines.folding import folded
from fbnetv3.engines.onnx_engine import OnnxEngine, open_session
from fbnetv3.factory import create_model
from fbnetv3.images import to_network
from fbnetv3.scenes import generate_scene
from fbnetv3.weights import load_checkpoint

JOINED = 4
IMAGES = 8
APART, TOGETHER, ONE_THREAD = "apart", "together", "1 thread"
SCORE_THRESHOLD = 0.3
Work = Callable[[], object]


def trunk_session(weights: str, image: np.ndarray, folder: Path) -> onnxruntime.InferenceSession:
    """The trunk for batches of any size; the product's own graphs take one image."""
    checkpoint = load_checkpoint(weights)
    trunk = folded(create_model(checkpoint.model, checkpoint)).backbone
    path = folder / "trunk.onnx"
    example = torch.from_numpy(np.stack([image, image]))
    program = torch.onnx.export(
        trunk, (example,), dynamo=True, verbose=False, input_names=["images"],
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
    )  # fmt: skip
    assert program is not None
    program.save(path)
    return open_session(path, None)


def part_variants(weights: str, image: np.ndarray, folder: Path) -> dict[str, tuple[Work, Work]]:
    """Name of a part -> (four times on one image, once on four)."""
    trunk = trunk_session(weights, image, folder)
    exported, _ = exports.obtain(weights, {})
    boxes, masks = (open_session(exported / f"{name}.onnx", None) for name in ("boxes", "masks"))
    [name] = [entry.name for entry in boxes.get_inputs()[:-1]]
    features = trunk.run(None, {"images": image[None]})[-1]
    regions = np.tile(np.array([[10, 20, 150, 200]], np.float32), (100, 1))
    box_inputs = {name: features, "boxes": regions}
    mask_inputs = {name: features, "boxes": regions[:20], "classes": np.zeros(20, np.int64)}
    return {
        "trunk": pair(trunk, {"images": image[None]}, {"images": np.stack([image] * JOINED)}),
        "box head, 100 regions": pair(boxes, box_inputs, joined(box_inputs, name)),
        "mask head, 20 regions": pair(masks, mask_inputs, joined(mask_inputs, name)),
    }


def joined(inputs: dict[str, np.ndarray], shared: str) -> dict[str, np.ndarray]:
    """The inputs of a head with as many regions as several images have."""
    return {k: v if k == shared else np.concatenate([v] * JOINED) for k, v in inputs.items()}


def pair(
    session: onnxruntime.InferenceSession, one: dict[str, np.ndarray], four: dict[str, np.ndarray]
) -> tuple[Work, Work]:
    """The two ways of the same work."""
    return lambda: [session.run(None, one) for _ in range(JOINED)], lambda: session.run(None, four)


def thread_variants(weights: str, image: np.ndarray) -> dict[str, Work]:
    """The same images from one thread, and from several: side by side, or in turns as the engine takes them."""
    engine = Detector.load(weights, engine="onnxruntime").engine
    assert isinstance(engine, OnnxEngine)
    classes = engine.config.num_classes
    wanted = Wanted(*np.full((2, classes), SCORE_THRESHOLD, np.float32))

    def in_turns() -> object:
        return engine.detect(engine.encode([image]), wanted)

    def spread(clients: int, look: Callable[[int], object]) -> Work:
        pool = ThreadPoolExecutor(clients)
        return lambda: list(pool.map(look, range(IMAGES)))

    variants = {ONE_THREAD: spread(1, lambda _: in_turns())}
    for clients in (2, 4, 8):
        variants[f"{clients} threads, side by side"] = spread(
            clients, lambda _: engine._detect(engine._encode(image), wanted)
        )
        variants[f"{clients} threads, in turns"] = spread(clients, lambda _: in_turns())
    return variants


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="starter")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    image = to_network(generate_scene(7, (480, 640)).image, (320, 427))
    with tempfile.TemporaryDirectory() as folder:
        parts = part_variants(options.weights, image, Path(folder))
    joining = Sheet(
        f"{JOINED} images at once, over {JOINED} times one", ("part", "ratio", f"{JOINED} times one, ms")
    )
    for name, (apart, together) in parts.items():
        timed = alternate({APART: apart, TOGETHER: together}, options.rounds)
        joining.add(name, timed.ratio(TOGETHER, APART), timed.median(APART))
    joining.show()
    variants = thread_variants(options.weights, image)
    timed = alternate(variants, options.rounds, calls=1)
    threads = Sheet(f"{IMAGES} whole images from several threads, over one thread", ("", "ratio", "ms"))
    for name in variants:
        threads.add(name, timed.ratio(name, ONE_THREAD), timed.median(name))
    threads.show()


if __name__ == "__main__":
    main()
