"""How forms look."""

from __future__ import annotations

from qgis.PyQt.QtWidgets import QFormLayout


def align_labels(*forms: QFormLayout) -> None:
    """Forms under each other with one column of fields."""
    cells = [form.itemAt(row, QFormLayout.ItemRole.LabelRole) for form in forms for row in range(form.rowCount())]
    labels = [cell.widget() for cell in cells if cell is not None and cell.widget() is not None]
    width = max(label.sizeHint().width() for label in labels)
    for label in labels:
        label.setMinimumWidth(width)
