"""The host side: environment, engine, node image, cluster. Labs never import it."""
