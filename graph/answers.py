"""Answers to single queries: the gallery images found for each, as plain data and as a table."""


def collect(asked, ids, similarities, columns):
    """Return a list of dicts {image, neighbours: [{rank, similarity, path, label if there is one}]}.

    Args:
      asked: q names of the queries.
      ids: int [q, k], best first, -1 pads.
      similarities: float [q, k], or None: each similarity is None.
      columns: {column: list} of the gallery's index.csv.
    """
    return [{"image": name, "neighbours": [
        dict({column: columns[column][i] for column in ("label", "path") if column in columns}, rank=place + 1,
             similarity=None if similarities is None else round(float(similarities[row, place]), 6))
        for place, i in enumerate(ids[row]) if i >= 0]} for row, name in enumerate(asked)]


def table(answers):
    """Return the answers as text, one table below each query's name."""
    lines = []
    for answer in answers:
        found = answer["neighbours"]
        width = max([5] + [len(one.get("label", "")) for one in found])
        lines += [answer["image"], "  rank  similarity  {:{}}  path".format("label", width)]
        for one in found:
            similarity = "-" if one["similarity"] is None else "{:.4f}".format(one["similarity"])
            lines.append("  {:>4}  {:>10}  {:{}}  {}".format(
                one["rank"], similarity, one.get("label", ""), width, one["path"]))
    # Names of files need not be UTF-8; such bytes could not be printed.
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode("utf-8")
