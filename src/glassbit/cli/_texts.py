"""What `--help` says, apart from the flags themselves: loaded without any command."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """The help of a command.

    Args:
        summary: one line, also shown in the list of commands.
        examples: commands with what they do, shown last.
        more: a paragraph below the summary.
    """

    summary: str
    examples: tuple[tuple[str, str], ...]
    more: str = ""

    @property
    def help(self) -> str:
        """Summary and paragraph."""
        return f"{self.summary}\n\n{self.more}" if self.more else self.summary

    @property
    def epilogue(self) -> str:
        """The examples."""
        return "Examples:\n" + "\n".join(f"  # {what}\n  glassbit {command}\n" for what, command in self.examples)


ROOT = Text(
    "Train image classifiers that are quantized or not, saliency-guided or not, and see what each choice costs.",
    (
        ("compare all four on the images that come along, a few minutes on a CPU", "study quickstart"),
        ("train one network: 4 bits, saliency-guided", "train --plan w4a4 --objective sgt --epochs 5"),
        ("see what it looks at", "explain runs/fashion-mini-cnn-bn-sgt+pact-w4a4-s0"),
        ("ship it, as integers", "export runs/mine --artifact model.glassbit --onnx model.onnx"),
        ("what this machine has, and which data are here", "doctor"),
    ),
    "Every command has a --help of its own. Exit codes: 0 done, 1 failed, 2 the command itself is wrong, "
    "128 + n stopped by signal n, 130 by Ctrl-C (train and study then go on with the same command).",
)
TRAIN = Text(
    "Train one network, measure it, and leave a folder with the results.",
    (
        ("full precision on the images that come along", "train --epochs 5"),
        ("4 bits, saliency-guided", "train --data mnist --plan w4a4 --objective sgt --out runs/mine"),
        (
            "your own images: a folder of class folders",
            "train --data photos --size 64 --model resnet20 --flip --crop 4",
        ),
        ("your own network", "train --model package.module:make_network --arguments width=32"),
        (
            "fine-tune in 2 bits what was trained in full precision",
            "train --plan w2a2 --start runs/fashion-mini-cnn-bn-fp32-s0",
        ),
        ("to be exported: with two more epochs, in integers", "train --data mnist --plan w4a4 --deploy-epochs 2"),
        ("two processes", "train --devices 2"),
    ),
    "The same command goes on where it was interrupted, to the same bits on the same kind of machine, and does nothing "
    "when the folder has a result already. "
    "The test images are looked at once, at the end.",
)
STUDY = Text(
    "Train and measure every run of a recipe that has no result yet, then write the report.",
    (
        ("the shipped comparison", "study quickstart"),
        ("a recipe of your own, two runs at a time", "study my-study.yaml --jobs 2"),
        ("into a folder of your choice", "study mnist --out runs/mnist-again"),
        (
            "on a Ray cluster, from a folder that all its nodes see",
            "study fashion-mnist --on ray://head:10001 --out /shared/runs/fashion-mnist",
        ),
    ),
    "The same command skips what is finished and resumes what is not, with as many threads as it began with. "
    "A run that fails does not stop the others. "
    "docs/scale.md says what a cluster needs.",
)
REPORT = Text(
    "Write report.html, tables and figures from the result files of a study or a run.",
    (
        ("again, e.g. while the study is still running", "report runs/quickstart"),
        ("one run", "report runs/fashion-mini-cnn-bn-fp32-s0"),
    ),
    "Nothing is trained or measured; an unfinished study gives a report of what is there. tables/ holds the numbers, "
    "such as confusion.csv, alphas.csv and curves.csv; figures/ holds the charts and the maps, maps-*.png.",
)
EXPLAIN = Text(
    "Draw what a trained network looks at: PNGs of image, map and both.",
    (
        ("the probe images of the run", "explain runs/quickstart/runs/fashion-mini-cnn-bn-sgt-s0"),
        ("your own images, two methods", "explain runs/mine --images photos --method gradient,integrated-gradients"),
        ("the map of another class than the predicted one", "explain runs/mine --images photos --target Sandal"),
    ),
    "A method that would be wrong on a quantized network is refused with the reason.",
)
EXPORT = Text(
    "Turn a trained quantized network into integers: one small file to predict with, anywhere.",
    (
        ("for Glassbit itself and for `verify`", "export runs/mine --artifact model.glassbit"),
        ("for ONNX Runtime, with a saliency map as second output", "export runs/mine --onnx model.onnx --explain"),
        ("both", "export runs/mine --artifact model.glassbit --onnx model.onnx"),
    ),
    "Both files compute the same logits, to the bit. A run that was trained with --deploy-epochs is written as it is; "
    "any other is converted now, which may cost accuracy, and needs its training images once more.",
)
PREDICT = Text(
    "Predict the class of images with an exported network; needs no torch.",
    (
        ("some images", "predict model.glassbit shirt.png shoe.jpg"),
        ("a folder, and what the network looks at", "predict model.onnx photos --explain maps"),
        ("what speaks for another class", "predict model.glassbit photos --explain maps --target Sandal"),
    ),
    "Images are brought to the size and the colours that the file asks for. A .glassbit file runs in NumPy, an .onnx "
    "file in ONNX Runtime.",
)
VERIFY = Text(
    "Compare every way to run an exported network, bit for bit.",
    (
        ("all there are on this machine", "verify model.glassbit"),
        ("on the test images of a data set", "verify model.glassbit --data mnist --images 10000"),
        ("the very .onnx file that will be shipped", "verify model.onnx --artifact model.glassbit"),
    ),
    "The reference is the definition itself, in NumPy integers. Exit code 1 when one logit differs in one bit.",
)
INSPECT = Text(
    "Show what is in an exported network: layers, bits, sizes, its certificate, its classes.",
    (("all of it", "inspect model.glassbit"),),
)
MEASURE = Text(
    "Measure what a network's explanations are worth: faithfulness, robustness, sparseness.",
    (
        ("a run", "measure runs/mine"),
        ("the file that ships", "measure model.glassbit --data fashion-mnist"),
        ("a trained torch network of your own", "measure package.module:load_network --data photos"),
    ),
    "Writes transparency.json, .md and .html; the numbers are kept, and taken again only where the network or the "
    "images have changed. Files give no signed gradients and no weights, so infidelity and parameter randomisation are"
    " left out of theirs. docs/guide explains every number.",
)
COMPARE = Text(
    "Compare two networks and their explanations on the same images.",
    (
        ("what two bits changed", "compare runs/s/runs/mnist-cnn-fp32-s0 runs/s/runs/mnist-cnn-pact-w2a2-s0"),
        ("a run and the file that was made of it", "compare runs/mine model.glassbit"),
        ("any two networks of your own", "compare package.module:load_a package.module:load_b --data photos"),
    ),
    "Agreement of maps is shown between its anchors: chance, the same network from another seed, and the network with "
    "itself under a little noise. Writes comparison.json, compare.md and compare.html with the images on which the "
    "maps differ most.",
)
GATE = Text(
    "Compare a candidate with its reference, and exit with 1 when it has lost too much.",
    (
        ("in a build", "gate runs/float model.glassbit"),
        ("with limits of your own", "gate runs/float runs/small --policy policy.yaml"),
    ),
    "A policy is a YAML file of limits; null switches a check off. Left out, it is: accuracy_drop 1.0 (points), "
    "agreement 0.5 (of the way from a random map to the reference's agreement with itself under noise), faithfulness "
    "0.8 (of the reference's ROAD gap), predictions null, object_mass null. What cannot be told does not pass.",
)
PLAN = Text(
    "Show which layer gets how many bits, and what the network then costs.",
    (
        ("first half 4 bits, second half 2", "plan --model resnet20 --plan layers-4-2"),
        ("the same layers in full precision", "plan --model resnet20"),
        ("rules of your own, from a file", "plan --model resnet20 --plan my-plan.yaml"),
        ("on your own images", "plan --model cnn-bn --plan w4a4 --data photos --size 64"),
    ),
    "A plan is a name, or a YAML file with `name:` and `rules:`, each rule with `layers:` (a glob), `weight:` and "
    "`activation:` (bits). The images of known data sets need not be here. Without --data, a network is shown with "
    "the image size, channels and classes that it was published for.",
)
DATA = Text(
    "The data sets known by name, and a check of your own.",
    (
        ("what there is, and what is here", "data list"),
        ("download", "data fetch cifar10"),
        ("look a folder over before training on it", "data check photos --size 64"),
    ),
)
DATA_LIST = Text(
    "List the data sets that are known by name, and where they are.",
    (("what there is, and what is here", "data list"), ("in a folder of yours", "data list --data-dir downloads")),
)
DATA_FETCH = Text(
    "Download data sets into the cache, checked against their published SHA-256.",
    (("one", "data fetch mnist"), ("several", "data fetch mnist fashion-mnist cifar10")),
    "A download that was cut short goes on where it stopped. GLASSBIT_CACHE names another cache folder.",
)
DATA_CHECK = Text(
    "Read a data set whole and say what is wrong with it.",
    (
        ("a folder of class folders", "data check photos --size 64 --resize pad"),
        ("files of the catalogue that are somewhere else", "data check mnist --data-dir downloads/mnist"),
    ),
)
DOCTOR = Text(
    "Versions, devices, threads and data of this machine.",
    (("all of it", "doctor"), ("with data that lie elsewhere", "doctor --data-dir downloads")),
)
COMMANDS = {
    "train": TRAIN,
    "study": STUDY,
    "report": REPORT,
    "explain": EXPLAIN,
    "export": EXPORT,
    "predict": PREDICT,
    "verify": VERIFY,
    "inspect": INSPECT,
    "measure": MEASURE,
    "compare": COMPARE,
    "gate": GATE,
    "plan": PLAN,
    "data": DATA,
    "doctor": DOCTOR,
}
DATA_COMMANDS = {"list": DATA_LIST, "fetch": DATA_FETCH, "check": DATA_CHECK}
