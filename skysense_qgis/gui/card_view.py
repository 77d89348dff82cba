"""A model's card: what it is, what it was made from, how well it did."""

from __future__ import annotations

from html import escape

from qgis.PyQt.QtWidgets import QTextBrowser, QWidget

from ..protocol.requests import ModelCard, SpeedMeasured
from ..protocol.sensors import SENSORS

WIDEST_CONFUSION = 12  # classes; beyond that the matrix cannot be read in a window


class CardView(QTextBrowser):
    """Read-only, scrolled, selectable."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setOpenExternalLinks(True)

    def show_card(self, card: ModelCard, speed: SpeedMeasured | None = None) -> None:
        """The card, with how fast the model is here where that was measured."""
        self.setHtml("".join((self._head(card, speed), self._accuracy(card), self._confusion(card), self._notes(card))))

    def _head(self, card: ModelCard, speed: SpeedMeasured | None) -> str:
        sensors = ", ".join(SENSORS[key].label if key in SENSORS else key for key in card.sensors)
        facts = [(self.tr("Sensors"), sensors), (self.tr("Licence"), card.licence)]
        if card.parameters:
            facts.insert(0, (self.tr("Size"), self.tr("{:.1f} million parameters").format(card.parameters / 1e6)))
        if speed is not None:
            facts.append((self.tr("Speed here"), self._speed(speed)))
        if card.encoder != card.key:
            facts.append((self.tr("Stands on"), card.encoder))
        if card.path == card.key:  # the user's own; what came with the plugin is nothing to look for
            facts.append((self.tr("File"), card.path))
        rows = "".join(f"<tr><td><b>{escape(name)}</b>&nbsp;&nbsp;</td><td>{escape(value)}</td></tr>" for name, value in facts)
        return f"<h3>{escape(card.label)}</h3><p>{escape(card.description)}</p><table>{rows}</table>"

    def _speed(self, speed: SpeedMeasured) -> str:
        text = self.tr("{:.2g} megapixels a second on {}, in {}")
        return text.format(speed.megapixels_per_second, speed.device.upper(), speed.mode.split(":")[0])

    def _accuracy(self, card: ModelCard) -> str:
        if not card.accuracy:
            return ""
        colours = {entry.name: entry.colour for entry in card.classes}
        head = [self.tr("Class"), self.tr("IoU"), self.tr("Precision"), self.tr("Recall"), self.tr("Pixels")]
        rows = ["<tr>" + "".join(f"<th align='left'>{escape(name)}&nbsp;&nbsp;</th>" for name in head) + "</tr>"]
        for entry in card.accuracy:
            swatch = f"<span style='color:{escape(colours.get(entry.name, '#808080'))}'>■</span> "
            figures = [_share(entry.iou), _share(entry.precision), _share(entry.recall), f"{entry.pixels:,}"]
            cells = "".join(f"<td align='right'>{figure}&nbsp;&nbsp;</td>" for figure in figures)
            rows.append(f"<tr><td>{swatch}{escape(entry.name)}&nbsp;&nbsp;</td>{cells}</tr>")
        mean = "" if card.mean_iou is None else self.tr(": mean IoU {:.2f}").format(card.mean_iou)
        return f"<h4>{self.tr('Accuracy on held-out blocks')}{mean}</h4><table>{''.join(rows)}</table>"

    def _confusion(self, card: ModelCard) -> str:
        """Reference down, predicted across, in per cent of the reference."""
        if not 1 < len(card.confusion) <= WIDEST_CONFUSION:
            return ""
        names = [entry.name for entry in card.classes]
        rows = ["<tr><th></th>" + "".join(f"<th>{escape(name)}&nbsp;</th>" for name in names) + "</tr>"]
        for index, (name, counts) in enumerate(zip(names, card.confusion)):
            total = sum(counts)
            cells = []
            for column, count in enumerate(counts):
                text = f"{100 * count / total:.0f} %" if total else "–"
                cells.append(f"<td align='right'>{f'<b>{text}</b>' if column == index else text}&nbsp;</td>")
            rows.append(f"<tr><td>{escape(name)}&nbsp;&nbsp;</td>{''.join(cells)}</tr>")
        title = self.tr("Confusion: rows are the labels, columns what the model said")
        return f"<h4>{title}</h4><table>{''.join(rows)}</table>"

    def _notes(self, card: ModelCard) -> str:
        if not card.notes:
            return ""
        return f"<h4>{self.tr('Made from')}</h4>" + "".join(f"<p>{escape(note)}</p>" for note in card.notes)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
