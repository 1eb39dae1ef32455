"""Readers of the annotation files of video data sets: which videos there are, where they lie, what they show.

One file per family of data sets, each with one function `read`; `rows.py` says what all of them return. Nothing
is decoded, and no video is opened.
"""
