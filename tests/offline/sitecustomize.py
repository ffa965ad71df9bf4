"""Read by every Python that starts with this folder on its path: kernels, and what tests call."""

import no_network

no_network.install()
