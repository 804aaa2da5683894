"""Plots as SVG, without a library: bars with ranges, and lines over a logarithmic axis. Pure: numbers in, text out."""

import math
from html import escape

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 90, 20, 50, 60
OURS, OTHER, IDEAL = "#1f6f8b", "#9aa5ab", "#d9a441"
LINES = ("#1f6f8b", "#c4553b", "#6b8e23", "#7b5ea7")


def short(value):
    """1234567 → 1.23 M"""
    for limit, sign in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit:
            return "%.3g%s" % (value / limit, sign)
    return "%.3g" % value


def _text(x, y, text, anchor="middle", size=12, weight="normal", turn=""):
    return '<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" font-weight="%s"%s>%s</text>' % (
        x, y, anchor, size, weight, turn, escape(text))


def _line(x1, y1, x2, y2, colour="#333", width=1.0):
    return '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%.1f"/>' % (
        x1, y1, x2, y2, colour, width)


def _page(title, parts, height=HEIGHT):
    head = ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" '
            'font-family="sans-serif" fill="#222">' % (WIDTH, height, WIDTH, height))
    return "\n".join([head, '<rect width="%d" height="%d" fill="#fff"/>' % (WIDTH, height),
                      _text(WIDTH / 2, 26, title, size=15, weight="bold"), *parts, "</svg>"]) + "\n"


def _ticks(top):
    """Round steps from 0 to at least top."""
    if top <= 0:
        return [0, 1]
    step = 10 ** math.floor(math.log10(top))
    for part in (0.2, 0.5, 1, 2):
        if top / (step * part) <= 6:
            step *= part
            break
    return [i * step for i in range(int(math.ceil(top / step - 1e-9)) + 1)]


def bars(title, unit, rows):
    """rows: (name, median, lowest, highest, kind), kind: ours, other, ideal. Horizontal, in the order given."""
    height = TOP + 34 * len(rows) + BOTTOM
    left, right = 230, WIDTH - 80
    ticks = _ticks(max(row[3] for row in rows))
    scale = (right - left) / ticks[-1]
    parts = []
    for tick in ticks:
        x = left + tick * scale
        parts += [_line(x, TOP, x, height - BOTTOM, "#ddd"), _text(x, height - BOTTOM + 18, short(tick))]
    for i, (name, median, low, high, kind) in enumerate(rows):
        y = TOP + 34 * i + 6
        colour = {"ours": OURS, "ideal": IDEAL}.get(kind, OTHER)
        parts.append('<rect x="%d" y="%d" width="%.1f" height="22" fill="%s"/>' % (left, y, median * scale, colour))
        parts += [_line(left + low * scale, y + 11, left + high * scale, y + 11, "#222", 1.5),
                  _line(left + low * scale, y + 6, left + low * scale, y + 16, "#222", 1.5),
                  _line(left + high * scale, y + 6, left + high * scale, y + 16, "#222", 1.5),
                  _text(left - 8, y + 16, name, "end"),
                  _text(left + high * scale + 6, y + 16, short(median), "start")]
    parts.append(_text((left + right) / 2, height - 14, unit))
    return _page(title, parts, height)


def lines(title, x_title, y_title, series):
    """series: name → [(x, median, lowest, highest)], x > 0. The x axis is logarithmic, with the points as its ticks."""
    xs = sorted({point[0] for points in series.values() for point in points})
    low, high = math.log(xs[0]), math.log(xs[-1])
    ticks = _ticks(max(point[3] for points in series.values() for point in points))
    bottom = HEIGHT - BOTTOM

    def at_x(x):
        return LEFT + (WIDTH - LEFT - RIGHT) * (0.04 + 0.92 * ((math.log(x) - low) / (high - low) if high > low else 0.5))

    def at_y(y):
        return bottom - (bottom - TOP) * y / ticks[-1]

    parts = []
    for tick in ticks:
        parts += [_line(LEFT, at_y(tick), WIDTH - RIGHT, at_y(tick), "#ddd"),
                  _text(LEFT - 8, at_y(tick) + 4, short(tick), "end")]
    for x in xs:
        parts += [_line(at_x(x), bottom, at_x(x), bottom + 5), _text(at_x(x), bottom + 20, "%g" % x)]
    parts += [_line(LEFT, bottom, WIDTH - RIGHT, bottom), _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, x_title),
              _text(20, (TOP + bottom) / 2, y_title, turn=' transform="rotate(-90 20 %.1f)"' % ((TOP + bottom) / 2))]
    for i, (name, points) in enumerate(series.items()):
        colour = LINES[i % len(LINES)]
        points = sorted(points)
        parts.append('<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>' % (
            " ".join("%.1f,%.1f" % (at_x(x), at_y(y)) for x, y, _, _ in points), colour))
        for x, y, lowest, highest in points:
            parts += [_line(at_x(x), at_y(lowest), at_x(x), at_y(highest), colour),
                      '<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>' % (at_x(x), at_y(y), colour)]
        parts += ['<rect x="%d" y="%d" width="12" height="4" fill="%s"/>' % (LEFT + 10 + 150 * i, TOP - 14, colour),
                  _text(LEFT + 28 + 150 * i, TOP - 8, name, "start")]
    return _page(title, parts)
