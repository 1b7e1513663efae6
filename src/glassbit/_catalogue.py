"""The data sets that Glassbit knows by name: where they are published and how to tell that a file is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Download:
    """A file that its publishers offer.

    Args:
        name: of the file.
        sha256: of its bytes.
        urls: official places first, then mirrors.
    """

    name: str
    sha256: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """A data set of the catalogue.

    Args:
        name: for `load`.
        title: a line on what it holds.
        layout: the format of its files; "embedded" comes with Glassbit, "generated" is made from what does.
        classes: the class names, in label order.
        channels: 1 or 3.
        side: height and width in pixels.
        train: number of training images.
        test: number of test images.
        homepage: who made it.
        downloads: what to fetch.
        contents: names and SHA-256 of the uncompressed files.
        folders: what to look into below a data folder, the likeliest first.
    """

    name: str
    title: str
    layout: Literal["idx", "cifar", "embedded", "generated"]
    classes: tuple[str, ...]
    channels: int
    side: int
    train: int
    test: int
    homepage: str
    downloads: tuple[Download, ...] = ()
    contents: tuple[tuple[str, str], ...] = ()
    folders: tuple[str, ...] = ()

    @property
    def included(self) -> bool:
        """Whether it is there wherever Glassbit is: nothing to find, fetch or compare with what was published."""
        return self.layout in ("embedded", "generated")


def catalogue() -> tuple[Entry, ...]:
    """Every data set that `load` knows by name."""
    return _ENTRIES


def entry(name: str) -> Entry | None:
    """Return the catalogue's data set called `name`, if there is one."""
    return next((entry for entry in _ENTRIES if entry.name == name), None)


def _downloads(files: dict[str, str], *places: str) -> tuple[Download, ...]:
    return tuple(Download(name, sha256, tuple(place + name for place in places)) for name, sha256 in files.items())


def _cluttered(name: str, title: str) -> Entry:
    return Entry(
        name=name,
        title=title,
        layout="generated",
        classes=_CLOTHES,
        channels=1,
        side=64,
        train=6_000,
        test=1_000,
        homepage="https://github.com/zalandoresearch/fashion-mnist",
    )


_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

_ENTRIES = (
    Entry(
        name="fashion-mini",
        title="7,000 pictures of clothes, a balanced part of Fashion-MNIST; comes with Glassbit",
        layout="embedded",
        classes=_CLOTHES,
        channels=1,
        side=28,
        train=6_000,
        test=1_000,
        homepage="https://github.com/zalandoresearch/fashion-mnist",
    ),
    Entry(
        name="mnist",
        title="70,000 handwritten digits",
        layout="idx",
        classes=tuple("0123456789"),
        channels=1,
        side=28,
        train=60_000,
        test=10_000,
        homepage="http://yann.lecun.com/exdb/mnist/",
        downloads=_downloads(
            {
                "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            },
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        contents=(
            ("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
            ("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
            ("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
            ("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
        ),
        folders=("mnist", "MNIST/raw", "MNIST", "mnist/raw", ".", "raw"),
    ),
    Entry(
        name="fashion-mnist",
        title="70,000 pictures of clothes",
        layout="idx",
        classes=_CLOTHES,
        channels=1,
        side=28,
        train=60_000,
        test=10_000,
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        downloads=_downloads(
            {
                "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
                "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
                "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936907477e6dd344da56eaa",
                "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
            },
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        contents=(
            ("train-images-idx3-ubyte", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
            ("train-labels-idx1-ubyte", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
            ("t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
            ("t10k-labels-idx1-ubyte", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
        ),
        folders=("fashion-mnist", "FashionMNIST/raw", "FashionMNIST", "fashion_mnist", "fashion-mnist/raw", ".", "raw"),
    ),
    Entry(
        name="cifar10",
        title="60,000 small colour photographs of animals and vehicles",
        layout="cifar",
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        channels=3,
        side=32,
        train=50_000,
        test=10_000,
        homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        downloads=_downloads(
            {"cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
            "https://www.cs.toronto.edu/~kriz/",
        ),
        contents=(
            ("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
            ("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
            ("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
            ("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
            ("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
            ("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
        ),
        folders=(".", "cifar10", "cifar-10", "CIFAR10", "cifar"),
    ),
    _cluttered("clutter", "the clothes of fashion-mini on clutter; which pixels are the garment is known"),
    _cluttered("clutter-shortcut", "clutter with a mark in every picture that gives its class away"),
    _cluttered("clutter-shuffled", "clutter-shortcut to train on, to test on the same with marks of random classes"),
)
