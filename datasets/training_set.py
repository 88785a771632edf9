"""From the table of the training images to the loader of their batches, as a configuration asks."""
from slim_retrieval.datasets.augmentation import check_augmentation, is_whole, random_boxes
from slim_retrieval.datasets.loader import BatchLoader
from slim_retrieval.datasets.samplers import build_sampler
from slim_retrieval.datasets.table import known_label_ids


def training_loader(table, columns, options):
    """Return (BatchLoader, {label column: class names}).

    Args:
      table: ImageTable of the training images.
      columns: label columns that the losses use; batches are sampled by the first. An empty cell is no class.
      options: the whole configuration as plain dicts.

    Raises:
      InputError: a column that is not there, or the sampler's own.
    """
    ids = {column: known_label_ids(table, column) for column in columns}
    training = options["training"]
    category = training["category"] or options["losses"][0].get("category", "")
    categories = known_label_ids(table, category)[0] if category else None
    sampler = build_sampler(ids[columns[0]][0], training, options["run"]["seed"], categories)
    loader = BatchLoader(table, {column: numbers for column, (numbers, _) in ids.items()}, sampler,
                         options["model"]["image_size"], _boxes(options))
    return loader, {column: names for column, (_, names) in ids.items()}


def _boxes(options):
    """Return the function that says which part of each image a batch shows, or None: the whole of it."""
    check_augmentation(options["data"]["augmentation"])
    area, aspect = (options["data"]["augmentation"][name] for name in ("crop_area", "crop_aspect"))
    if is_whole(area, aspect):
        return None
    seed = options["run"]["seed"]
    return lambda step, count: random_boxes(seed, step, count, area, aspect)


def pipeline_options(options):
    """Return what datasets.pipeline.training_batches takes beside the loader and the steps."""
    data = options["data"]
    return {"crop_padding": data["crop_padding"], "flip": data["flip"], "seed": options["run"]["seed"],
            "workers": data["workers"], "prefetch": data["prefetch"], "augmentation": data["augmentation"]}
