"""Sizes that images are made before they are stacked into batches: few of them, so that batches fill."""


def square(side):
    """Return the function from (height, width) to (side, side): the aspect ratio is not kept."""
    return lambda height, width: (side, side)


def keeping_aspect(side, multiple, smallest=1):
    """Return the function from (height, width) to the size that keeps their ratio best: the longer is `side`.

    The shorter one is the nearest of the multiples of `multiple` below `side`, not below `smallest`, and `side` itself:
    an image is stretched by at most half of `multiple`, but for very long ones. There are 2 n - 1 sizes for n of these.
    """
    allowed = shorter_sides(side, multiple, smallest)

    def size_of(height, width):
        exact = min(height, width) * side / float(max(height, width))
        shorter = min(allowed, key=lambda candidate: abs(candidate - exact))
        return (side, shorter) if height >= width else (shorter, side)
    return size_of


def shorter_sides(side, multiple, smallest=1):
    """Return what the shorter side may be, in rising order."""
    return [length for length in range(multiple, side, multiple) if length >= smallest] + [side]


def by_size(images, batch_size):
    """Return lists of positions of images that have one size, at most `batch_size` in each.

    Sizes come in the order of their first image, positions in rising order: the same images always give the same lists.
    """
    groups = {}
    for position, image in enumerate(images):
        groups.setdefault(image.shape, []).append(position)
    # Python 3.7's dict keeps the order in which keys came.
    return [positions[start:start + batch_size] for positions in groups.values()
            for start in range(0, len(positions), batch_size)]
