"""The CIFAR zoo under the names the field shares."""
