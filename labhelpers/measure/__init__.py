"""What happens over time: recordings of a Pod's life, samples of a container's accounting."""
