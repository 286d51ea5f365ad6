"""One optimizer on the starts of one system, under the protocol of the benchmark."""
