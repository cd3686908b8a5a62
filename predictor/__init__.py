"""Learns: features, kernel and network predictors, uncertainty; reads tables, never touches a device."""
