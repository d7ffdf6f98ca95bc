"""PASCAL VOC: palette files whose index is the class."""
