"""sslbook: a workbook on self-supervised learning, measured on real data from four industries."""

__version__ = "0.1.0"
