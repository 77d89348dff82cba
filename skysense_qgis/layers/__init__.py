"""Between QGIS's layers and the protocol's records. qgis.core only, no widgets."""
