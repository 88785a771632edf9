"""Every file in configs/ is a valid configuration whose header says how to run it."""
import glob
import os

import pytest

from slim_retrieval.common import config as configuration
from slim_retrieval.losses.specs import check_specs
from slim_retrieval.nets.factory import get_layout

FILES = glob.glob(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "configs", "*.yaml"))


@pytest.mark.parametrize("path", sorted(FILES), ids=os.path.basename)
def test_it_is_valid_and_says_how_to_run_it(path):
    options = configuration.to_plain(configuration.resolve(path))
    check_specs(options["losses"])
    get_layout(options["model"])
    assert options["training"]["schedule"]["decay_steps"] <= options["training"]["steps"]
    with open(path, encoding="utf-8") as stream:
        header = [line for line in stream.read().split("\n\n")[0].splitlines() if line.startswith("#")]
    for word in ("Command:", "Cost"):
        assert any(word in line for line in header), word
