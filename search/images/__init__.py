"""Labelled images for training and search, from the packages, the user's disk, or an array file."""

from search.images._data import ImageData, Images, LabelledImages, Labels
from search.images._load import DATA_SETS, load_images

__all__ = ["DATA_SETS", "ImageData", "Images", "LabelledImages", "Labels", "load_images"]
