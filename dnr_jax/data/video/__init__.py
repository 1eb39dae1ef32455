"""Encoded videos: which of a file's streams is the video, which frames can be had alone, and how they are shown."""

__all__ = ['decoding', 'encoding', 'errors', 'jpegs', 'live', 'orientation', 'parameter_sets', 'streams']
