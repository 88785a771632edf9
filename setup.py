"""Packaging: the top folders become `slim_retrieval.<folder>`; extras pick the stack by Python version."""
import sys

from setuptools import setup

SERVED = "3.7 (TensorFlow 1.15) or 3.10, 3.11, 3.12, 3.13 (TensorFlow 2)"
if sys.version_info[:2] != (3, 7) and not (3, 10) <= sys.version_info[:2] <= (3, 13):
    sys.exit("slim-retrieval needs Python {}; this is Python {}.{}".format(SERVED, *sys.version_info[:2]))

PACKAGES = ["common", "nets", "datasets", "losses", "training", "graph", "evaluation"]
# The scripts lie at the top; installed, they are modules of slim_retrieval.commands.
FOLDERS = dict({name: name for name in PACKAGES}, commands=".")
SCRIPTS = ["train_multi_gpu", "extract_features", "retrieve", "eval_map", "tune"]

TF1 = "; python_version == '3.7'"
TF2 = "; python_version >= '3.10'"

# What both flavours of a stack share. protobuf 3.21 broke TensorFlow 1.15's generated code;
# numpy 1.22 has no wheel for 3.7, and TensorFlow 1.15 was built against 1.18's interface.
SHARED = ["tf-slim==1.1.0", "protobuf<3.21" + TF1, "numpy>=1.18,<1.22" + TF1, "tf-keras>=2.15,<2.22" + TF2]

# Converting to ONNX and reading it back. onnxruntime 1.11 asks for a newer NumPy than TensorFlow 1.15 bears.
EXPORT = ["tf2onnx>=1.16,<1.17" + TF1, "onnxruntime>=1.8,<1.11" + TF1, "tf2onnx>=1.17" + TF2, "onnxruntime>=1.17" + TF2]

# click 8.1 lost a name that Dask of Python 3.7 asks for.
CLUSTER = ["dask[distributed]>=2022.2", "click<8.1" + TF1]

setup(
    packages=["slim_retrieval." + name for name in FOLDERS],
    package_dir={"slim_retrieval." + name: folder for name, folder in FOLDERS.items()},
    entry_points={"console_scripts": ["{0} = slim_retrieval.commands.{0}:main".format(name) for name in SCRIPTS]},
    package_data={"slim_retrieval.evaluation": ["*.html", "*.css", "*.js"]},
    extras_require={
        "speed": ["numba>=0.56"],
        "cpu": SHARED + [
            "numba>=0.56",
            "tensorflow>=1.15,<1.16" + TF1, "faiss-cpu==1.7.4" + TF1,
            "tensorflow>=2.15,<2.22" + TF2, "faiss-cpu>=1.8" + TF2],
        "gpu": SHARED + [
            "numba>=0.56",
            "tensorflow-gpu>=1.15,<1.16" + TF1, "faiss-gpu==1.7.2" + TF1,
            "tensorflow[and-cuda]>=2.15,<2.22" + TF2, "faiss-gpu>=1.14.3" + TF2],
        "benchmarks": ["pynndescent>=0.5" + TF2, "matplotlib>=3.7" + TF2],
        "report": ["umap-learn>=0.5"],
        "export": EXPORT,
        "cluster": CLUSTER,
        "test": EXPORT + CLUSTER + ["pytest>=7", "pytest-xdist>=3", "selenium>=4.11",
                                    "pytrec-eval-terrier>=0.5" + TF2, "ruff>=0.6" + TF2],
    },
)
