"""Embeddings as TensorBoard's projector reads them: points, their labels, and a small picture of each.

    logs/projector_config.pbtxt      names the others
    logs/projector/embedding.tsv     a line of numbers for each image
    logs/projector/metadata.tsv      label and path of each
    logs/projector/sprite.png        the pictures, row by row in a square
"""
import os

import numpy as np
from PIL import Image

from slim_retrieval.common.files import replacing, write_text
from slim_retrieval.datasets.images import resize
from slim_retrieval.datasets.table import UnreadableImage

SIDE = 48  # pixels of a picture
MOST_IMAGES, MOST_NUMBERS = 4096, 1000000  # a sprite is at most 8192 pixels wide; all of it is read by a browser

CONFIG = """embeddings {{
  tensor_name: "validation"
  tensor_path: "projector/embedding.tsv"
  metadata_path: "projector/metadata.tsv"
  sprite {{
    image_path: "projector/sprite.png"
    single_image_dim: {0}
    single_image_dim: {0}
  }}
}}
"""


def write(logs, table, rows, column, features):
    """Write the projector's files into the folder of the events; of very many images evenly spaced ones.

    Args:
      table: ImageTable; rows: int [m], which of its images; column: the label column.
      features: float [m, d].
    """
    folder = os.path.join(logs, "projector")
    os.makedirs(folder, exist_ok=True)
    most = max(1, min(MOST_IMAGES, MOST_NUMBERS // features.shape[1]))
    kept = np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))
    rows, features = np.asarray(rows)[kept], features[kept]
    write_text(os.path.join(folder, "embedding.tsv"),
               "".join("\t".join("{:.5g}".format(number) for number in row) + "\n" for row in features))
    metadata = "label\tpath\n" + "".join(
        "{}\t{}\n".format(_cell(table.columns[column][row]), _cell(table.paths[row])) for row in rows)
    if _differs(os.path.join(folder, "metadata.tsv"), metadata):  # the pictures are those of the last time
        with replacing(os.path.join(folder, "sprite.png")) as temporary:
            Image.fromarray(sprite([_picture(table, row) for row in rows])).save(temporary, "PNG")
        write_text(os.path.join(folder, "metadata.tsv"), metadata)
    write_text(os.path.join(logs, "projector_config.pbtxt"), CONFIG.format(SIDE))


def sprite(pictures):
    """Return uint8 [c * S, c * S, 3] with c^2 >= n cells: the pictures, uint8 [S, S, 3], row by row, then white."""
    columns, side = int(np.ceil(np.sqrt(len(pictures)))), pictures[0].shape[0]
    whole = np.full((columns * side, columns * side, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * side, i % columns * side
        whole[top:top + side, left:left + side] = picture
    return whole


def _picture(table, row):
    try:
        return resize(table.load(int(row)), SIDE)
    except UnreadableImage:
        return np.full((SIDE, SIDE, 3), 255, np.uint8)


def _cell(text):
    return " ".join(text.split()) or "-"


def _differs(path, text):
    if not os.path.exists(path):
        return True
    with open(path, encoding="utf-8") as stream:
        return stream.read() != text
