"""Dynamic Normalization and Relay (DNR) for video action recognition, in JAX and Flax."""
