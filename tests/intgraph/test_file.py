from __future__ import annotations

import base64
import hashlib
import json
import os
import pickle
import random
import tracemalloc
import zipfile
import zlib
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from graphs import extreme_graph, images_for, random_graph, resnet_graph, uneven_graph

from glassbit import intgraph as ig
from glassbit._errors import ArtifactError, GraphError
from glassbit.intgraph._file import VERSIONS


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.glassbit"


def refusal(path):
    """What is said of the file, in one line."""
    with pytest.raises(ArtifactError) as caught:
        ig.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


UNREADABLE = "must hold a readable network; got: "


def same(a, b):
    """Whether two nodes, or two arrays in them, are equal to the bit."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, ig.Weights) or type(a) in ig.Node.__args__:
        return type(a) is type(b) and all(same(value, vars(b)[name]) for name, value in vars(a).items())
    return a == b and type(a) is type(b)


class Contents:
    """A file taken apart and signed again, independent of the code that wrote it."""

    def __init__(self, data):
        size = int.from_bytes(data[:8], "little")
        self.metadata = json.loads(data[8 : 8 + size])["__metadata__"]
        self.arrays = {name: array.copy() for name, array in safetensors.numpy.load(data).items()}
        self.graph, self.certificate = (
            json.loads(zlib.decompress(base64.b64decode(self.metadata[name]))) for name in ("graph", "certificate")
        )

    def write(self, path, **texts):
        for name in ("graph", "certificate"):
            text = json.dumps(getattr(self, name)).encode()
            self.metadata[name] = base64.b64encode(zlib.compress(text)).decode()
        self.metadata |= texts
        data = safetensors.numpy.save(self.arrays, self.metadata | {"digest": "0" * 64})
        digest = hashlib.sha256(data).hexdigest()
        path.write_bytes(data.replace(b'"digest":"' + b"0" * 64, b'"digest":"' + digest.encode()))

    def node(self, name):
        (found,) = [node for node in self.graph["nodes"] if node["name"] == name]
        return found


@pytest.fixture
def contents(whole, path):
    whole.save(path)
    return Contents(path.read_bytes())


def test_round_trip(path):
    for graph in [*map(random_graph, range(15)), extreme_graph("odd", 7, lowest=True), uneven_graph(3)]:
        graph.save(path)
        loaded = ig.load(path)
        assert len(loaded.nodes) == len(graph.nodes)
        assert all(same(a, b) for a, b in zip(graph.nodes, loaded.nodes, strict=True))
        assert (loaded.classes, loaded.preprocessing, loaded.about) == (graph.classes, graph.preprocessing, graph.about)
        assert loaded.certificate == graph.certificate
        images = images_for(graph, 3)
        assert loaded.run(images).tobytes() == graph.run(images).tobytes()


def test_the_same_network_gives_the_same_bytes(whole, path, tmp_path):
    whole.save(path)
    ig.load(path).save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_any_safetensors_reader_reads_the_codes(whole, contents, path):
    with safetensors.safe_open(path, "np") as file:
        assert sorted(file.metadata()) == ["certificate", "digest", "format", "graph", "version"]
        assert file.get_tensor("weights.fc").tolist() == [0x10, 0x32, 0x54]
        assert file.get_tensor("weights.branch").tolist() == [0b10001000, 0b110]
        assert file.get_tensor("scale").tolist() == [0.5, 0.25, 2]


def test_names_of_any_script(whole, path):
    nodes = list(whole.nodes)
    nodes[-2] = ig.Linear('слой "1" \\', "flat", nodes[-2].weights)
    nodes[-1] = ig.Logits("logits", nodes[-2].name, nodes[-1].bias, nodes[-1].scale)
    graph = ig.IntGraph(tuple(nodes), ("лиса", "🦊", "狐"), whole.preprocessing)
    graph.save(path)
    assert ig.load(path).nodes[-2].name == 'слой "1" \\'
    assert ig.load(path).classes == graph.classes


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_the_size_is_that_of_the_bits(path, bits):
    graph = resnet_graph(bits)
    graph.save(path)
    stored = graph.certificate.stored_bits / 8
    assert stored <= path.stat().st_size <= 1.03 * stored + 4000


def test_a_failed_save_leaves_the_old_file(whole, path, monkeypatch):
    whole.save(path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="no space left"):
        random_graph(1).save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_damaged_files_are_refused(whole, path):
    whole.save(path)
    data = path.read_bytes()
    header = int.from_bytes(data[:8], "little")
    chance = random.Random(0)
    places = [*range(8 * 8), *(chance.randrange(8 * 8, 8 * header) for _ in range(60))]
    places += [chance.randrange(8 * header, 8 * len(data)) for _ in range(60)]
    digest = data.index(b'"digest":"') + 10
    places += [8 * (digest + place) + bit for place in range(0, 64, 9) for bit in range(8)]
    damaged = []
    for place in places:
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        damaged.append(bytes(flipped))
    damaged += [data[: chance.randrange(len(data))] for _ in range(40)] + [data[:-1], data[:8], data[:7], b""]
    damaged += [data + chance.randbytes(chance.randrange(1, 9)) for _ in range(20)] + [data + data, data[1:]]
    damaged += [data[:at] + chance.randbytes(16) + data[at + 16 :] for at in range(0, len(data) - 16, len(data) // 40)]
    assert len(damaged) > 300
    for content in damaged:
        path.write_bytes(content)
        refusal(path)


def test_a_flipped_bit_is_named_as_damage(whole, path):
    whole.save(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert refusal(path) == "must match its SHA-256 digest; got other bytes, so it is damaged; copy or export it again"


def test_foreign_files_are_refused(path, tmp_path):
    must, repair = "must be a Glassbit network", "it is foreign, or its beginning is damaged; export it again"
    short, other = f"{must}; got a file shorter than its header says; {repair}", f"{must}; got another header; {repair}"
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("data.pkl", pickle.dumps({"weights": [1, 2, 3]}))
    for content in (b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(100), (tmp_path / "archive.zip").read_bytes()):
        path.write_bytes(content)
        assert refusal(path) == short
    deep = b"[" * 100_000
    endless = b'{"__metadata__": {"format": "glassbit-intgraph", "version": 1e999}}'
    for header in (
        endless,
        b"{}",
        b"[1, 2]",
        b"null",
        b'{"__metadata__": []}',
        b'{"__metadata__": 3}',
        deep,
        b"\xff\xfe",
        b"{",
    ):
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        assert refusal(path) == other
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}))
    assert refusal(path) == other
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}, {"format": "pt"}))
    assert refusal(path) == other
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}, {"format": "pt", "version": "1"}))
    assert refusal(path) == f"{must} with the format 'glassbit-intgraph'; got 'pt'; {repair}"


def test_files_that_cannot_be_read(tmp_path):
    assert refusal(tmp_path / "missing") == "must be a readable file; got: No such file or directory; check the path"
    assert refusal(tmp_path) == "must be a readable file; got: a folder, where a file is needed; check the path"


def test_other_versions_are_refused(contents, path):
    repair = "update Glassbit, or export the network again"
    for version in (0, VERSIONS[-1] + 1):
        contents.write(path, version=str(version))
        assert refusal(path) == f"format version must be at most {VERSIONS[-1]}; got {version}; {repair}"
    contents.write(path, version="one")
    assert "got another header" in refusal(path)


@pytest.mark.parametrize(("bits", "version", "other"), [(None, "1", "2"), (4, "2", "1")])
def test_the_version_is_the_lowest_that_has_all_nodes(whole, path, bits, version, other):
    """So that an older Glassbit reads what it can, and says `format version 2` of what it cannot."""
    graph = whole if bits is None else uneven_graph(bits)
    graph.save(path)
    contents = Contents(path.read_bytes())
    assert contents.metadata["version"] == version
    contents.write(path, version=other)
    text = f"format version must be {version}, which its nodes need; got {other}; export it again"
    assert refusal(path) == text


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("conv", {"padding": (0, 1, 2, 1)}),
        ("conv", {"dilation": (2, 1), "padding": (2, 1)}),
        ("max", {"padding": (1, 0, 0, 1)}),
    ],
)
def test_pads_of_four_sides_and_dilation_are_written(whole, path, name, change):
    nodes = tuple(replace(node, **change) if node.name == name else node for node in whole.nodes)
    graph = ig.IntGraph(nodes, whole.classes, whole.preprocessing)
    graph.save(path)
    assert Contents(path.read_bytes()).metadata["version"] == "3"
    read = ig.load(path)
    images = images_for(graph, 5)
    assert read.run(images).tolist() == graph.run(images).tolist()
    assert {key: getattr(next(node for node in read.nodes if node.name == name), key) for key in change} == change


def test_dilation_is_written_where_there_is_one(contents, path):
    contents.node("conv").update(dilation=[1, 1])
    contents.write(path)
    text = "node 1 (conv): what is left at its default must be left out; got"
    assert text in refusal(path)


def test_a_sum_of_two_is_written_as_ever(contents, path):
    assert list(contents.node("sum").items()) == [
        ("op", "Add"),
        ("name", "sum"),
        ("left", "signed"),
        ("right", "same"),
        ("left_shift", 0),
        ("right_shift", 2),
    ]
    contents.write(path)
    read = next(node for node in ig.load(path).nodes if node.name == "sum")
    assert vars(read) == {
        "name": "sum",
        "inputs": ("signed", "same"),
        "shifts": (0, 2),
    }
    given = contents.node("sum")
    given.clear()
    given.update(op="Sum", name="sum", inputs=["signed", "same"], shifts=[0, 2])
    contents.write(path)
    assert refusal(path).endswith("node 6 (sum): a sum of two must be an Add; export it again")


ONE = np.ones(1, np.int32)


def below(*middle, zero=0):
    """An image, some nodes, of which the last is `x`, and two classes."""
    nodes = (ig.Input("image", 1, 4, 4, zero), *middle, ig.Flatten("flat", "x"))
    size = 16 if not isinstance(middle[-1], ig.MaxPool) else 4
    last = ig.Linear("fc", "flat", ig.Weights(np.zeros((2, size), np.uint8), 2, "odd"))
    logits = ig.Logits("logits", "fc", np.zeros(2, np.int32), np.ones(2, np.float32))
    return ig.IntGraph((*nodes, last, logits), ("a", "b"), ig.Preprocessing(1, 4, 4))


def codes(name, read, low=0, high=255, m=1):
    return ig.Requantize(name, read, 0 * ONE, m * ONE, 3 * ONE, low, high)


@pytest.mark.parametrize(
    ("graph", "version"),
    [
        (below(codes("x", "image")), "1"),
        (below(codes("x", "image", 0, 200)), "3"),
        (below(codes("x", "image", m=-3)), "3"),
        (below(codes("x", "image"), zero=3), "3"),
        (below(codes("x", "image", -128, 127)), "3"),
        (below(codes("s", "image", -128, 127), ig.Sum("sum", ("s", "image"), (0, 0)), codes("x", "sum")), "1"),
        (below(codes("s", "image", -127, 127), ig.Sum("sum", ("s", "image"), (0, 0)), codes("x", "sum")), "3"),
        (below(ig.Sum("sum", ("image", "image"), (0, 0)), codes("x", "sum"), zero=3), "3"),
        (below(ig.MaxPool("x", "image", (2, 2), (2, 2)), zero=3), "1"),
        (below(ig.MaxPool("x", "image", (2, 2), (3, 3), (1, 1))), "1"),
        (below(ig.MaxPool("x", "image", (2, 2), (3, 3), (1, 1)), zero=3), "3"),
    ],
)
def test_windows_and_signs_that_version_1_did_not_know_need_version_3(path, graph, version):
    graph.save(path)
    assert Contents(path.read_bytes()).metadata["version"] == version
    assert all(same(a, b) for a, b in zip(graph.nodes, ig.load(path).nodes, strict=True))


def test_version_3_holds_every_multiplier_in_a_byte(path):
    odd = np.arange(-255, 256, 2, dtype=np.int32)
    nodes = (
        ig.Input("image", 256, 1, 1, 0),
        ig.Requantize("codes", "image", 0 * odd, odd, 0 * odd, -255, 0),
        ig.Flatten("flat", "codes"),
        ig.Linear("fc", "flat", ig.Weights(np.zeros((2, 256), np.uint8), 2, "odd")),
        ig.Logits("logits", "fc", np.zeros(2, np.int32), np.ones(2, np.float32)),
    )
    ig.IntGraph(nodes, ("a", "b"), ig.Preprocessing(256, 1, 1)).save(path)
    contents = Contents(path.read_bytes())
    assert contents.arrays["multiplier"].dtype == np.int8
    assert contents.arrays["multiplier"].tolist() == [*range(-128, 128)]
    assert ig.load(path).nodes[1].multiplier.tolist() == odd.tolist()
    contents.arrays["multiplier"] = contents.arrays["multiplier"].astype(np.uint8)
    contents.write(path)
    assert refusal(path).startswith(UNREADABLE + "multiplier must be a flat int8 array; got uint8")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "must be a list of lists of 3 whole numbers; got 3"),
        ([3], "must be a list of 3 whole numbers; got 3"),
        ([[0, 1]], "must be a list of 3 whole numbers; got [0, 1]"),
        ([[0, 1, 1.0]], "must be a whole number; got 1.0"),
        ([[0, 1, True]], "must be a whole number; got True"),
    ],
)
def test_windows_that_are_none_are_refused(path, value, text):
    uneven_graph(4).save(path)
    contents = Contents(path.read_bytes())
    contents.node("mean").update(rows=value)
    contents.write(path)
    assert refusal(path).endswith(f"(mean): rows {text}; export it again")


SPANS = "rows must be windows (first, stop, weight) with 0 <= first < stop <= 65535 and a weight of 1..65535"


def test_windows_that_break_rules_are_refused(path):
    uneven_graph(4).save(path)
    contents = Contents(path.read_bytes())
    contents.node("mean").update(rows=[[0, 2**70, 1]], columns=[[0, 1, 1]] * 2**17)
    contents.write(path)
    assert refusal(path).splitlines()[2:] == [
        f"  - mean: {SPANS}; got (0, {2**70}, 1)",
        "  - mean: columns must be a tuple of 1..65535 windows; got 131072 of them",
    ]


def test_a_resigned_file_is_read(contents, whole, path):
    """Otherwise the tests below would prove nothing."""
    contents.write(path)
    assert ig.load(path).certificate == whole.certificate


def test_a_wrong_certificate_is_refused(contents, path):
    contents.certificate["layers"][0]["accumulator_bound"] -= 1
    contents.write(path)
    assert refusal(path) == "certificate must be that of the network in the file; got another one; export it again"
    contents.certificate = None
    contents.write(path)
    assert refusal(path) == "certificate must be that of the network in the file; got another one; export it again"


def test_a_network_that_breaks_rules_is_refused(contents, path):
    contents.arrays["multiplier"][0] = 2
    contents.node("conv")["stride"] = [0, 1]
    contents.write(path)
    assert refusal(path).splitlines() == [
        "must hold a valid network; got one that breaks rules; export it again",
        "the integer network: 2 problems",
        "  - conv: stride must be two ints of 1..65535; got (0, 1)",
        "  - relu: every multiplier must be odd and -255..255; got 2",
    ]


def lie(**settings):
    """A change of one node's description."""
    return lambda contents, name: contents.node(name).update(settings)


def weights(**settings):
    return lambda contents, name: contents.node(name)["weights"].update(settings)


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("conv", weights(shape=[2, 1, 3, 4]), "9 bytes are not the weights of conv: 4 bits, shape (2, 1, 3, 4)"),
        ("conv", weights(shape=[-2, -1, 3, 3]), "9 bytes are not the weights of conv: 4 bits, shape (-2, -1, 3, 3)"),
        ("conv", weights(shape=[]), "9 bytes are not the weights of conv: 4 bits, shape ()"),
        ("conv", weights(shape=[2**40, 2**40, 3, 3]), "9 bytes are not the weights of conv: 4 bits"),
        ("conv", weights(shape=[2.0, 1, 3, 3]), "node 1 (conv): shape must be a whole number; got 2.0"),
        ("conv", weights(bits=2**70), "9 bytes are not the weights of conv: 1180591620717411303424 bits"),
        ("conv", weights(bits=True), "node 1 (conv): bits must be a whole number; got True"),
        ("conv", weights(bits=0), "9 bytes are not the weights of conv: 0 bits"),
        ("conv", weights(grid="even"), "node 1 (conv): grid must be one of odd, signed; got 'even'"),
        ("conv", weights(extra=1), "node 1 (conv): weights: the keys must be bits, grid, shape; got"),
        ("conv", lie(weights=[1]), "node 1 (conv): weights: the keys must be bits, grid, shape; got [1]"),
        ("conv", lie(op="Exec"), "node 1: must be one of Input, Conv, Linear, Requantize, Sum, Multiply"),
        ("conv", lie(op=["Conv"]), "node 1: must be one of Input, Conv"),
        ("conv", lie(name=3), "node 1: name must be text; got 3"),
        ("conv", lie(name="other"), "0 bytes are not the weights of other: 4 bits"),
        ("conv", lie(stride=[1]), "node 1 (conv): stride must be a list of 2 whole numbers; got [1]"),
        ("conv", lie(stride=""), "node 1 (conv): stride must be a list of 2 whole numbers; got ''"),
        (
            "conv",
            lie(code="print()"),
            "node 1 (conv): the keys must be op, name, input, weights, stride, padding, groups; got",
        ),
        ("relu", lie(bias=10**6), "1000000 elements of bias are asked for, 10 are left"),
        ("relu", lie(bias=-1), "-1 elements of bias are asked for, 10 are left"),
        ("logits", lie(scale=2), "scale belongs to no node"),
        ("image", lie(height=1e300), "node 0 (image): height must be a whole number; got 1e+300"),
    ],
)
def test_descriptions_that_lie_are_refused(contents, path, name, change, text, unchecked):
    change(contents, name)
    contents.write(path)
    assert refusal(path).startswith(UNREADABLE + text)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: c.graph.update(nodes={}), "nodes must be a list"),
        (lambda c: c.graph.update(nodes=[3]), "node 0: must be one of"),
        (lambda c: c.graph.update(more=1), "the network: the keys must be nodes, classes, preprocessing, about; got"),
        (
            lambda c: setattr(c, "graph", []),
            "the network: the keys must be nodes, classes, preprocessing, about; got []",
        ),
        (lambda c: c.graph.update(classes="abc"), "classes must be a list of texts; got 'abc'"),
        (lambda c: c.graph["about"].update(trained=1), "about: trained must be true or false; got 1"),
        (
            lambda c: c.graph["preprocessing"].pop("resize"),
            "preprocessing: the keys must be channels, height, width, resize; got",
        ),
        (lambda c: c.arrays.pop("weights.fc"), "0 bytes are not the weights of fc"),
        (lambda c: c.arrays.pop("scale"), "3 elements of scale are asked for, 0 are left"),
        (lambda c: c.arrays.update(extra=np.zeros(1, np.uint8)), "extra belongs to no node"),
        (lambda c: c.arrays.update(extra=np.zeros(0, np.uint8)), "extra belongs to no node"),
        (lambda c: c.arrays.update(bias=c.arrays["bias"].astype(np.int64)), "bias holds I64"),
        (lambda c: c.arrays.update(bias=c.arrays["bias"].view(np.float32)), "bias must be a flat int32 array"),
        (lambda c: c.arrays.update(bias=c.arrays["bias"].reshape(2, -1)), "bias must be a flat int32 array"),
    ],
)
def test_parts_that_do_not_fit_are_refused(contents, path, change, text):
    change(contents)
    contents.write(path)
    assert refusal(path).startswith(UNREADABLE + text)


def squeezed(text):
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must be compressed JSON; got nothing"),
        ("{}", "must be compressed JSON in base64; got '{}'"),
        ("not base64", "must be compressed JSON in base64; got 'not base64'"),
        ("é", "must be compressed JSON in base64; got 'é'"),
        (base64.b64encode(b"not deflated").decode(), "must be compressed JSON in base64; got 'bm90IGRlZmxhdGVk'"),
        (squeezed("{}") + squeezed("{}"), "must be compressed JSON"),
        (
            base64.b64encode(base64.b64decode(squeezed("{}")) + b"more").decode(),
            "must be compressed JSON; more follows",
        ),
        (base64.b64encode(base64.b64decode(squeezed("{}"))[:-4]).decode(), "must be compressed JSON; it is cut short"),
        (squeezed("{"), "must be JSON; line 1, column 2"),
        (squeezed("[" * 10**5), "must be flat; it is nested too deeply"),
        (
            squeezed('{"nodes": 1' + "0" * 10**4 + "}"),
            "must be JSON; a number must have at most 1000 digits; got 10001",
        ),
        (squeezed('{"nodes": NaN}'), ""),
        (squeezed('{"a": 1, "a": 2}'), "must be JSON; a key occurs twice"),
    ],
)
@pytest.mark.parametrize("name", ["graph", "certificate"])
def test_texts_that_are_none_are_refused(contents, path, name, text, told):
    contents.write(path, **{name: text})
    assert not told or refusal(path).startswith(f"{UNREADABLE}its {name} {told}")
    refusal(path)


def test_huge_declarations_cost_no_memory(contents, path):
    tracemalloc.start()
    try:
        contents.write(path, graph=squeezed(" " * 2**26))
        tracemalloc.reset_peak()
        assert "its graph must have at most 4194304 bytes; got more" in refusal(path)
        contents.node("image").update(channels=65535, height=65535, width=65535)
        contents.write(path)
        refusal(path)
        contents.node("mean").update(kernel=[10**4000, 3])
        contents.write(path)
        refusal(path)
        header = b'{"a":{"dtype":"U8","shape":[1099511627776],"data_offsets":[0,1099511627776]},"__metadata__":{}}'
        for size in (len(header), 2**40, 2**64 - 1):
            path.write_bytes(size.to_bytes(8, "little") + header)
            refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_very_large_headers_are_not_parsed(path):
    path.write_bytes((2**22 + 1).to_bytes(8, "little") + b" " * (2**22 + 1))
    assert refusal(path).startswith("must be a Glassbit network, whose header has at most 4194304 bytes; got 4194305; ")


def test_very_large_files_are_not_even_read(path):
    with path.open("wb") as file:
        file.truncate(2**30 + 1)
    assert refusal(path).startswith("must have at most 166777216 bytes, as networks have; got 1073741825; ")


def test_what_is_no_file_is_not_opened(path):
    os.mkfifo(path)
    assert refusal(path) == "must be a readable file; got: a pipe, socket or device, which is not opened; remove it"
    path.unlink()
    path.symlink_to("/dev/zero")
    assert refusal(path) == "must be a readable file; got: a pipe, socket or device, which is not opened; remove it"


def rename(contents, old, new):
    for node in contents.graph["nodes"]:
        for key in ("name", "input", "left", "right"):
            if node.get(key) == old:
                node[key] = new


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: c.graph.update(nodes=c.graph["nodes"] * 1000), "there must be at most 1024 nodes; got 1"),
        (lambda c: c.graph.update(classes=["a"] * 10**5), "there must be at most 65535 classes; got 100000"),
        (lambda c: c.graph["about"].update(notes=["a"] * 65), "there must be at most 64 notes; got 65"),
        (
            lambda c: c.graph["about"].update(plan="a" * 257),
            "about: plan must be printable text of at most 256 characters",
        ),
        (
            lambda c: c.graph["about"].update(run="a\x1b[2J"),
            "about: run must be printable text of at most 256 characters",
        ),
        (lambda c: c.graph["about"].update(network="a\nb"), "about: network must be printable text of at most 256"),
        (lambda c: c.graph["about"].update(notes=["a\nb"]), "about: notes must be at most 64, of printable text of at"),
        (
            lambda c: c.graph.update(classes=["a" * 10**6, "b", "c"]),
            "classes: names must be printable text of at most 256",
        ),
        (
            lambda c: c.graph.update(classes=["a\u202e", "b", "c"]),
            "classes: names must be printable text of at most 256",
        ),
        (lambda c: rename(c, "relu", "a" * 257), "the name must be printable text of at most 256 characters; got 'aaa"),
        (
            lambda c: rename(c, "relu", "\ud800"),
            "the name must be printable text of at most 256 characters; got '\\ud800'",
        ),
        (lambda c: c.node("image").update(height=65535, width=65535), "image: must make at most 33554432 elements"),
        (lambda c: c.node("mean").update(kernel=[65535, 65535]), "must fit into the map"),
    ],
)
def test_what_is_too_much_is_refused_in_short(contents, path, change, text):
    change(contents)
    contents.write(path)
    told = refusal(path)
    assert text in told
    assert len(told) < 10**5
    assert all(line.isprintable() for line in told.splitlines())


@pytest.mark.parametrize("text", ['{"nodes":[],"nodes":[]}', '{"nodes":[{"op":"Input","op":"Conv"}]}'])
def test_keys_that_occur_twice_are_refused(contents, path, text):
    contents.write(path, graph=squeezed(text))
    assert (
        refusal(path)
        == "must hold a readable network; got: its graph must be JSON; a key occurs twice; export it again"
    )


@pytest.mark.parametrize(
    ("kernel", "text"),
    [((1025, 1024), "a window must have at most 1048576 pixels"), ((512, 512), "all its windows must have at most")],
)
def test_windows_are_limited(kernel, text):
    nodes = (
        ig.Input("image", 1, 2048, 2048, 0),
        ig.MaxPool("pool", "image", kernel, (1, 1)),
        ig.MaxPool("all", "pool", (1, 1), (2000, 2000)),
        ig.Flatten("flat", "all"),
        ig.Linear("fc", "flat", ig.Weights(np.zeros((2, 1), np.uint8), 2, "odd")),
        ig.Logits("logits", "fc", np.zeros(2, np.int32), np.ones(2, np.float32)),
    )
    with pytest.raises(GraphError, match=text):
        ig.IntGraph(nodes, ("a", "b"), ig.Preprocessing(1, 2048, 2048))


def test_many_large_tensors_are_refused_without_being_made():
    nodes = [ig.Input("image", 8, 2048, 1024, 0)]
    for number in range(40):
        nodes.append(ig.MaxPool(f"pool{number}", nodes[-1].name, (1, 1), (1, 1)))
    nodes += [
        ig.MaxPool("last", nodes[-1].name, (1, 1), (2048, 1024)),
        ig.Flatten("flat", "last"),
        ig.Linear("fc", "flat", ig.Weights(np.zeros((2, 8), np.uint8), 2, "odd")),
        ig.Logits("logits", "fc", np.zeros(2, np.int32), np.ones(2, np.float32)),
    ]
    with pytest.raises(GraphError, match="tensors: all together must have at most 536870912 elements for an image"):
        ig.IntGraph(tuple(nodes), ("a", "b"), ig.Preprocessing(8, 2048, 1024))


def test_products_are_limited():
    codes = np.zeros((512, 512, 3, 3), np.uint8)
    many = np.ones(512, np.int32)
    nodes = [ig.Input("image", 512, 256, 256, 0)]
    for number in range(2):
        nodes.append(ig.Conv(f"c{number}", nodes[-1].name, ig.Weights(codes, 2, "odd"), padding=(1, 1)))
        nodes.append(ig.Requantize(f"r{number}", f"c{number}", many, many, many, 0, 3))
    nodes += [
        ig.MaxPool("last", nodes[-1].name, (1, 1), (256, 256)),
        ig.Flatten("flat", "last"),
        ig.Linear("fc", "flat", ig.Weights(np.zeros((2, 512), np.uint8), 2, "odd")),
        ig.Logits("logits", "fc", np.zeros(2, np.int32), np.ones(2, np.float32)),
    ]
    with pytest.raises(GraphError, match="products: there must be at most 137438953472 for an image; got 3"):
        ig.IntGraph(tuple(nodes), ("a", "b"), ig.Preprocessing(512, 256, 256))


def test_a_chain_of_pools_counts_as_work():
    nodes = [ig.Input("image", 3, 2048, 2048, 0)]
    for number in range(40):
        nodes.append(ig.MaxPool(f"pool{number}", nodes[-1].name, (3, 3), (1, 1), (1, 1)))
    nodes += [
        ig.MaxPool("last", nodes[-1].name, (1, 1), (2048, 2048)),
        ig.Flatten("flat", "last"),
        ig.Linear("fc", "flat", ig.Weights(np.zeros((2, 3), np.uint8), 2, "odd")),
        ig.Logits("logits", "fc", np.zeros(2, np.int32), np.ones(2, np.float32)),
    ]
    with pytest.raises(GraphError, match="products: there must be at most 137438953472 for an image; got 14"):
        ig.IntGraph(tuple(nodes), ("a", "b"), ig.Preprocessing(3, 2048, 2048))
