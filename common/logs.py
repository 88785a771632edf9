"""Log lines as the scripts print them."""
import logging
import sys


def start_logging():
    """Print this project's log lines to stderr: time, message, and the level when it is a warning or worse."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(level)s%(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name in ("slim_retrieval", "train_multi_gpu", "extract_features", "retrieve", "eval_map"):
        logging.getLogger(name).setLevel(logging.INFO)


class _Formatter(logging.Formatter):
    def format(self, record):
        record.level = "" if record.levelno < logging.WARNING else record.levelname.lower() + ": "
        return super().format(record)
