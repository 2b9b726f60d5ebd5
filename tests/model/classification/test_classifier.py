"""The classifier is the published network, reads the published file, and gives the same with both engines."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from classifier_weights import drawn_state, write_published
from PIL import Image
from reference import SHARED, needs_shared
from torch import Tensor, nn
from torchvision import transforms

from fbnetv3 import ConfigError, ImageError, WeightsError, read_image
from fbnetv3.classification.classifier import EXPORTER, Classifier
from fbnetv3.classification.exporting import LIMIT, compare
from fbnetv3.classification.imagenet_weights import imagenet_labels, read_classifier
from fbnetv3.classification.padding import pad_widths
from fbnetv3.classification.preprocessing import to_input
from fbnetv3.engines import exports
from fbnetv3.engines.folding import folded
from fbnetv3.network.blocks import SqueezeExcite
from fbnetv3.network.classifier import ClassifierNetwork, PooledResidual
from fbnetv3.scenes import generate_scene
from fbnetv3.weights import write_checkpoint

MANIFEST = SHARED / "facts" / "manifests" / "manifest_cls_dmasking_l3.json"


def scene(seed: int, size: tuple[int, int] = (240, 320)) -> np.ndarray:
    return generate_scene(seed, size).image


@pytest.fixture(scope="module")
def network() -> ClassifierNetwork:
    network = ClassifierNetwork().eval()
    network.load_state_dict(drawn_state(network))
    return network


@pytest.fixture(scope="module")
def published(network: ClassifierNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published(tmp_path_factory.mktemp("published") / "model.pth", network.state_dict())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where exports of these tests lie: the first one that needs the export makes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL_DIR", str(tmp_path_factory.mktemp("models")))
        yield Path(os.environ["MODEL_DIR"])


@pytest.fixture(scope="module")
def onnx(published: Path, store: Path) -> Classifier:
    return Classifier.load(published, threads=1)


@pytest.fixture(scope="module")
def pytorch(published: Path) -> Classifier:
    return Classifier.load(published, engine="torch")


class TestNetwork:
    """What the original is."""

    @needs_shared
    def test_names_and_shapes_are_the_original_s(self) -> None:
        recorded = json.loads(MANIFEST.read_text())["state_dict"]
        own = [[name, list(tensor.shape)] for name, tensor in ClassifierNetwork().state_dict().items()]
        assert own == recorded

    def test_names_and_shapes_without_the_record(self) -> None:
        network = ClassifierNetwork()
        assert sum(parameter.numel() for parameter in network.parameters()) == 9_464_040
        lines = sorted(f"{name} {tuple(tensor.shape)}" for name, tensor in network.state_dict().items())
        assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == "010ad80a62a499eb"

    def test_multiply_adds(self) -> None:
        """0.780 G: fvcore's count of the original at 288, which has two for each normalised and one for each pooled
        value."""
        counts: list[int] = []
        network = ClassifierNetwork().eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(
                    lambda conv, _, out: counts.append(out.numel() * conv.weight[0].numel())
                )
            elif isinstance(module, nn.BatchNorm2d):
                module.register_forward_hook(lambda _, __, out: counts.append(2 * out.numel()))
            elif isinstance(module, SqueezeExcite):
                module.register_forward_hook(lambda _, __, out: counts.append(out.numel()))
            elif isinstance(module, PooledResidual):
                module.pw.register_forward_hook(lambda _, __, out: counts.append(out.numel()))
                module.register_forward_hook(lambda _, __, out: counts.append(out.numel()))
        with torch.inference_mode():
            network(torch.zeros(1, 3, 288, 288))
        assert sum(counts) == 780_406_536

    def test_logits_are_the_original_s(self, network: ClassifierNetwork) -> None:
        """Recorded from mobile_cv at b95ef336 in float64, with these very weights and this image."""
        squares = np.random.default_rng(6).normal(0, 1, (3, 9, 9))
        image = torch.from_numpy(np.kron(squares, np.ones((32, 32)))[None]).float()
        with torch.inference_mode():
            [logits] = network(image)
        recorded = [
            3.57540,
            -1.53763,
            9.21789,
            6.87105,
            28.28450,
            5.72886,
            -3.36879,
            12.37280,
            -0.34351,
            15.77164,
        ]
        assert np.abs(logits[::100].numpy() - recorded).max() < 1e-4 * 28
        assert float(logits.norm()) == pytest.approx(287.07788, rel=1e-5)
        assert int(logits.argmax()) == 197

    def test_padded_widths_change_nothing(self, network: ClassifierNetwork) -> None:
        padded = folded(network)
        pad_widths(padded)
        widths = {
            width
            for module in padded.modules()
            if isinstance(module, nn.Conv2d)
            for width in (module.in_channels, module.out_channels)
        }
        assert {width for width in widths if width % 8} == {3}
        image = torch.from_numpy(to_input(scene(1)))
        with torch.inference_mode():
            assert torch.allclose(padded(image), network(image), rtol=0, atol=1e-3)


class TestPreprocessing:
    """The same pixels as torchvision's transforms, which the original uses."""

    REFERENCE = transforms.Compose(
        [
            transforms.Resize(328),
            transforms.CenterCrop(288),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )

    @pytest.mark.parametrize(
        "size",
        [
            (480, 640),
            (640, 427),
            (289, 1000),
            (333, 501),
            (328, 328),
            (328, 329),
            (50, 21),
            (1, 1),
            (10, 200),
        ],
    )
    def test_any_size(self, size: tuple[int, int]) -> None:
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        expected = self.REFERENCE(Image.fromarray(image))[None].numpy()
        assert to_input(image).shape == (1, 3, 288, 288)
        assert to_input(image).dtype == np.float32
        assert np.abs(to_input(image) - expected).max() < 1e-6

    def test_a_very_long_image_takes_no_memory(self) -> None:
        """Whole, its 328 rows would have 492 million columns."""
        assert np.isfinite(to_input(np.full((2, 3_000_000, 3), 255, np.uint8))).all()


class TestClassify:
    """Images in, labels out."""

    def test_the_likeliest_labels_best_first(self, pytorch: Classifier) -> None:
        images = [scene(seed) for seed in range(3)]
        found = pytorch.classify(images, top=7)
        for image, classes in zip(images, found, strict=True):
            probabilities = pytorch.probabilities(image)
            best = sorted(range(1000), key=lambda i, p=probabilities: -p[i])[:7]
            assert classes == [(pytorch.labels[i], float(probabilities[i])) for i in best]
        assert len({str(classes) for classes in found}) == 3

    def test_probabilities(self, pytorch: Classifier) -> None:
        probabilities = pytorch.probabilities(scene(0))
        assert probabilities.shape == (1000,) and probabilities.dtype == np.float32
        assert probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert np.array_equal(probabilities, pytorch.probabilities(scene(0)))

    def test_images_of_every_kind(self, pytorch: Classifier, tmp_path: Path) -> None:
        """Grey, transparent and turned files are what read_image makes of them."""
        picture = Image.fromarray(scene(0))
        exif = Image.Exif()
        exif[0x0112] = 6
        grey, clear, turned = (tmp_path / f"{name}.png" for name in ("grey", "clear", "turned"))
        picture.convert("L").save(grey)
        picture.convert("RGBA").save(clear)
        picture.rotate(90, expand=True).save(turned, exif=exif)
        upright = pytorch.classify([picture])[0]
        assert pytorch.classify([grey, clear, turned, turned.read_bytes()]) == [
            pytorch.classify([np.asarray(picture.convert("L"))])[0],
            upright,
            upright,
            upright,
        ]
        assert np.array_equal(read_image(turned), np.asarray(picture))

    def test_what_is_no_image(self, pytorch: Classifier) -> None:
        with pytest.raises(ImageError, match="not an image"):
            pytorch.classify([scene(0), b"no image"])

    def test_an_image_that_is_too_large(self, published: Path) -> None:
        with pytest.raises(ImageError, match="more than the allowed 1,000"):
            Classifier.load(published, engine="torch", max_pixels=1000).classify([scene(0)])

    def test_labels(self) -> None:
        assert imagenet_labels()[:2] == ("tench", "goldfish") and imagenet_labels()[999] == "toilet tissue"
        assert len(set(imagenet_labels())) == 1000


class TestEngines:
    """ONNX Runtime where it can, PyTorch elsewhere, the same from both."""

    def test_engines_agree(self, onnx: Classifier, pytorch: Classifier) -> None:
        assert (onnx.engine.name, pytorch.engine.name) == ("onnxruntime", "torch")
        assert (onnx.labels, onnx.version) == (pytorch.labels, pytorch.version)
        for image in (scene(4, (300, 700)), scene(5, (200, 200))):
            ours, theirs = onnx.probabilities(image), pytorch.probabilities(image)
            assert theirs.max() > 0.05
            assert np.abs(ours - theirs).max() < 1e-4

    def test_threads_share_a_classifier(self, onnx: Classifier, pytorch: Classifier) -> None:
        images = [scene(seed) for seed in range(3)]
        for classifier in (onnx, pytorch):
            expected = classifier.classify(images)
            with ThreadPoolExecutor(4) as pool:
                found = list(pool.map(classifier.classify, [[image] for image in 3 * images]))
            assert found == 3 * [[classes] for classes in expected]

    def test_a_server_needs_no_pytorch(self, published: Path, onnx: Classifier) -> None:
        code = (
            "import sys; from fbnetv3.classification.classifier import Classifier; import numpy as np\n"
            f"classifier = Classifier.load({str(published)!r})\n"
            "print(classifier.version, len(classifier.probabilities(np.zeros((9, 9, 3), np.uint8))))\n"
            "sys.exit(bool({'torch', 'torchvision'} & sys.modules.keys()))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout.split()) == (0, [onnx.version, "1000"]), done.stderr

    def test_pytorch_serves_where_the_export_does_not_agree(
        self,
        published: Path,
        onnx: Classifier,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        folder, manifest = exports.obtain(published, {}, EXPORTER)
        refused = manifest.model_copy(update={"refusal": "they differ"})
        monkeypatch.setattr(exports, "obtain", lambda *_: (folder, refused))
        assert Classifier.load(published).engine.name == "torch"
        assert "PyTorch runs" in caplog.text and "they differ" in caplog.text

    def test_a_graph_of_other_weights_does_not_agree(
        self, network: ClassifierNetwork, published: Path, onnx: Classifier
    ) -> None:
        folder, _ = exports.obtain(published, {}, EXPORTER)
        assert compare(network, folder, onnx.labels) < LIMIT / 10
        other = ClassifierNetwork().eval()
        other.load_state_dict(network.state_dict())
        with torch.no_grad():
            other.backbone["stages"].get_submodule("xif3_1.dw.bn").bias.add_(0.5)
        assert compare(other, folder, onnx.labels) > LIMIT

    def test_onnxruntime_runs_on_the_cpu_only(self, published: Path) -> None:
        with pytest.raises(ConfigError, match="choose auto or torch"):
            Classifier.load(published, engine="onnxruntime", device="cuda")


def save_bare(path: Path, state: dict[str, Tensor]) -> None:
    torch.save(state, path)


def save_as_in_2020(path: Path, state: dict[str, Tensor]) -> None:
    named = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"state_dict": named, "best_acc1": 78.9}, path, _use_new_zipfile_serialization=False)


class TestWeights:
    """The published file, and what is not it."""

    @pytest.mark.parametrize("save", [save_bare, save_as_in_2020])
    def test_containers(
        self, save: Callable[..., None], network: ClassifierNetwork, pytorch: Classifier, tmp_path: Path
    ) -> None:
        save(tmp_path / "model.pth", network.state_dict())
        assert f"dmasking_l3-{read_classifier(tmp_path / 'model.pth').digest}" == pytorch.version

    def test_our_own_format(self, published: Path, pytorch: Classifier, tmp_path: Path) -> None:
        path = tmp_path / "imagenet.safetensors"
        write_checkpoint(read_classifier(published), path)
        again = Classifier.load(path, engine="torch")
        assert again.version == pytorch.version and again.labels == pytorch.labels
        assert np.array_equal(again.probabilities(scene(0)), pytorch.probabilities(scene(0)))

    @pytest.mark.parametrize("change", ["missing", "added", "shape", "classes"])
    def test_tensors_that_are_not_the_network_s(
        self, change: str, network: ClassifierNetwork, tmp_path: Path
    ) -> None:
        state = dict(network.state_dict())
        name = {"classes": "head.conv.weight"}.get(change, "backbone.stages.xif5_5.conv.conv.weight")
        if change == "added":
            name = "backbone.stages.xif4_2.conv.conv.weight"
            state[name] = torch.zeros(1)
        elif change == "missing":
            del state[name]
        else:
            state[name] = state[name][:37]
        path = write_published(tmp_path / "model.pth", state)
        with pytest.raises(WeightsError, match=rf"not the published dmasking_l3 .*1 tensors .*{name}$"):
            Classifier.load(path, engine="torch")

    def test_weights_of_a_detector(self) -> None:
        starter = Path(exports.__file__).parents[1] / "weights" / "starter.safetensors"
        with pytest.raises(WeightsError, match="not the published dmasking_l3"):
            read_classifier(starter)

    def test_a_file_that_would_run_code(self, network: ClassifierNetwork, tmp_path: Path) -> None:
        path = write_published(tmp_path / "model.pth", network.state_dict(), optimizer=os.system)
        with pytest.raises(WeightsError, match=r"asks for \w+\.system and is not read"):
            Classifier.load(path, engine="torch")

    @pytest.mark.parametrize("engine", ["auto", "torch"])
    def test_no_file(self, engine: str, tmp_path: Path, store: Path) -> None:
        with pytest.raises(WeightsError, match=r"missing\.pth cannot be read: No such file"):
            Classifier.load(tmp_path / "missing.pth", engine=engine)  # type: ignore[arg-type]

    def test_what_no_export_can_be_made_of(self, tmp_path: Path, store: Path) -> None:
        (tmp_path / "model.pth").write_text("no weights")
        with pytest.raises(WeightsError, match="is damaged or is no PyTorch checkpoint"):
            Classifier.load(tmp_path / "model.pth")
