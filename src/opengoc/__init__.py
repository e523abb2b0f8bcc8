"""OpenGOC: the operations centre of a production grid."""

__version__ = "0.1.0"
