"""Labelled images for training and search, from the packages, the user's disk, or an array file."""

from search.images._data import ImageData, Images, LabelledImages, Labels

__all__ = ["ImageData", "Images", "LabelledImages", "Labels"]
