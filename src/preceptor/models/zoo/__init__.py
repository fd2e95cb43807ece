"""This library's own networks: those for CIFAR, named as their published checkpoints are, and small ones; by name in `create`."""
