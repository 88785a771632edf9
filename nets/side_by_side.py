"""Several networks in one session, each under a scope of its own.

Two graphs need no more than two FeatureNetworks. In one graph, the networks are imported without variables
(nets/frozen.py): two restores cannot write over each other, and no two variables share a name.

    networks = {"street": FeatureNetwork(a, options_a).freeze(), "shop": FeatureNetwork(b, options_b).freeze()}
    with SideBySide(networks) as both:
        features = both({"street": images, "shop": images})
"""
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf


class SideBySide:
    """Images in, features out, of several networks in one pass. A context manager: it holds a session.

    Attributes:
      graph: the networks' graph; tensors have their scope as prefix, as in `street/MobilenetV2/Conv/Relu6:0`.
    """

    def __init__(self, networks, config=None):
        """Import `networks`, {scope: frozen.Frozen}; `config`: a ConfigProto.

        Raises:
          InputError: a scope lies within another.
        """
        for scope in networks:
            if any(scope != other and scope.startswith(other + "/") for other in networks):
                raise InputError("scope {!r} lies within another of {}; give scopes that differ".format(
                    scope, ", ".join(sorted(networks))))
        self.graph = tf.Graph()
        with self.graph.as_default():
            for scope, network in networks.items():
                tf.import_graph_def(network.graph_def, name=scope)
        self._networks = networks
        self._session = tf.Session(graph=self.graph, config=config)

    def __call__(self, images):
        """Return {scope: list of outputs} for {scope: images}; scopes that are left out are not computed."""
        outputs = {scope: ["{}/{}".format(scope, name) for name in self._networks[scope].outputs] for scope in images}
        return self._session.run(outputs, {"{}/{}".format(scope, self._networks[scope].images): value
                                           for scope, value in images.items()})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._session.close()
