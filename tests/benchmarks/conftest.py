"""Scripts in benchmarks/ are no package: they find each other because Python puts their folder on its path."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                                "benchmarks"))
