"""Pictures of clusters and crystals: shaded spheres in a depth buffer, in NumPy."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, UInt8

from hopgym._atomic_write import atomic_save

# Jmol's colours (jmol.sourceforge.net/jscolors); "X" stands for reduced units.
COLOURS = {
    "X": "5b8fd0",
    "H": "ffffff",
    "C": "909090",
    "N": "3050f8",
    "O": "ff0d0d",
    "Ne": "b3e3f5",
    "Na": "ab5cf2",
    "Al": "bfa6a6",
    "Si": "f0c8a0",
    "Ar": "80d1e3",
    "Fe": "e06633",
    "Co": "f090a0",
    "Ni": "50d050",
    "Cu": "c88033",
    "Kr": "5cb8d1",
    "Rh": "0a7d8c",
    "Pd": "006985",
    "Ag": "c0c0c0",
    "Xe": "429eb0",
    "Ir": "175487",
    "Pt": "d0d0e0",
    "Au": "ffd123",
}

# Half the nearest-neighbour distance in the element's crystal, in angstrom: C. Kittel,
# Introduction to Solid State Physics (8th ed.), table 1.4.
RADII = {
    "C": 0.77,
    "Ne": 1.58,
    "Na": 1.83,
    "Al": 1.43,
    "Si": 1.175,
    "Ar": 1.88,
    "Fe": 1.24,
    "Co": 1.25,
    "Ni": 1.245,
    "Cu": 1.28,
    "Kr": 2.0,
    "Rh": 1.345,
    "Pd": 1.375,
    "Ag": 1.445,
    "Xe": 2.17,
    "Ir": 1.355,
    "Pt": 1.385,
    "Au": 1.44,
}

BACKGROUND = np.array([[255, 255, 255], [226, 231, 240]], np.float32)  # top, bottom
INK = np.array([46, 52, 64], np.float32)
CAMERA_TURN, CAMERA_TILT = 0.42, 0.30  # radians
CAMERA_DISTANCE = 8.0  # radii of the scene
LIGHT_DIRECTION = np.array([-0.46, 0.62, 0.64], np.float32)
HIGHLIGHT_BRIGHTNESS = 0.75
HIGHLIGHT_LOG2_EXPONENT = 6
OCCLUSION = 0.22  # darkening of surfaces that face neighbours
FONT_SIZE = 15  # pixels, in a picture of REFERENCE_SIZE
REFERENCE_SIZE = 480


def draw(
    positions: Float[np.ndarray, "atoms 3"],
    symbols: Sequence[str],
    box: Float[np.ndarray, "3"] | None = None,
    *,
    size: int = 480,
    length: float | None = None,
    caption: str = "",
    samples: int = 2,
    view: Float[np.ndarray, "3 3"] | None = None,
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw atoms as shaded spheres that touch their neighbours.

    **Arguments:**

    - `positions`: `Float[ndarray, "atoms 3"]`, in angstrom if the symbols are elements,
      otherwise in any unit.
    - `symbols`: chemical symbol of each atom; `"X"` for atoms in reduced units.
    - `box`: edges of a periodic box; atoms are wrapped into it, and it is drawn.
    - `size`: height and width in pixels.
    - `length`: diameter of atoms without a known radius; by default the median
      nearest-neighbour distance.
    - `caption`: a line of text at the bottom.
    - `samples`: number of samples per pixel along each axis, for antialiasing.
    - `view`: orthonormal vectors to the right, up and towards the viewer, as rows; by
      default from above on the right.

    **Returns:** `UInt8[ndarray, "size size 3"]`.

    **Raises:** `ValueError` for non-finite positions, positions of a wrong shape, or
    different numbers of symbols and atoms.
    """
    points = np.asarray(positions, float)
    if points.ndim != 2 or points.shape != (len(symbols), 3) or not len(symbols):
        raise ValueError(
            "draw needs positions of shape (atoms, 3) and a symbol for each, got "
            f"{points.shape} and {len(symbols)} symbols"
        )
    if not np.all(np.isfinite(points)):
        raise ValueError("draw needs finite positions")
    corners = None
    if box is None:
        points = points - points.mean(axis=0)
    else:
        edges = np.asarray(box, float)
        points = points - (np.floor(points / edges) + 0.5) * edges
        signs = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij"), axis=-1)
        corners = signs.reshape(8, 3) * edges
    radii = _choose_radii(points, symbols, length)
    camera = _get_oblique_view() if view is None else np.asarray(view, float)
    scene = _Scene(points, radii, corners, camera, size, samples, bool(caption))

    canvas = _draw_background(size * samples)
    if corners is not None:
        scene.draw_box(canvas, corners)
    scene.shade(canvas, _choose_colours(symbols))
    picture = np.zeros((size, size, 3), np.float32)
    for i, j in np.ndindex(samples, samples):
        picture += canvas[i::samples, j::samples]
    picture /= samples * samples
    if caption:
        _write_caption(picture, caption)
    return picture.astype(np.uint8)


def save_png(path: str | os.PathLike, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write a picture to a PNG file, atomically.

    **Raises:** `OSError` if it cannot be written.
    """
    import matplotlib.image

    atomic_save(
        Path(path),
        lambda stream: matplotlib.image.imsave(stream, picture, format="png"),
    )


def _choose_radii(
    points: np.ndarray, symbols: Sequence[str], length: float | None
) -> Float[np.ndarray, " atoms"]:
    """Radii of the elements, `length / 2` for unknown ones."""
    known = np.array([RADII.get(symbol, np.nan) for symbol in symbols])
    if np.any(np.isnan(known)):
        if length is None:
            separation = np.linalg.norm(points[:, None] - points, axis=-1)
            separation[np.diag_indices(len(points))] = np.inf
            nearest = np.median(separation.min(axis=1))
            length = float(nearest) if 0 < nearest < np.inf else 1.0
        known[np.isnan(known)] = length / 2
    return known


def _choose_colours(symbols: Sequence[str]) -> Float32[np.ndarray, "atoms 3"]:
    codes = [COLOURS.get(symbol, COLOURS["X"]) for symbol in symbols]
    return np.array([list(bytes.fromhex(code)) for code in codes], np.float32)


@functools.lru_cache(maxsize=4)
def _background_column(size: int) -> Float32[np.ndarray, "size 1 3"]:
    mix = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    return (1 - mix) * BACKGROUND[0] + mix * BACKGROUND[1]


def _draw_background(size: int) -> Float32[np.ndarray, "size size 3"]:
    return np.repeat(_background_column(size), size, axis=1)


def _get_oblique_view() -> Float[np.ndarray, "3 3"]:
    turn = np.array(
        [
            [np.cos(CAMERA_TURN), 0, np.sin(CAMERA_TURN)],
            [0, 1, 0],
            [-np.sin(CAMERA_TURN), 0, np.cos(CAMERA_TURN)],
        ]
    )
    tilt = np.array(
        [
            [1, 0, 0],
            [0, np.cos(CAMERA_TILT), -np.sin(CAMERA_TILT)],
            [0, np.sin(CAMERA_TILT), np.cos(CAMERA_TILT)],
        ]
    )
    return tilt @ turn


class _Scene:
    """Spheres and box in canvas coordinates, with their depth buffer."""

    def __init__(self, points, radii, corners, camera, size, samples, captioned):
        seen = points @ camera.T
        frame = seen if corners is None else np.vstack([seen, corners @ camera.T])
        reach = np.append(radii, np.zeros(len(frame) - len(radii)))
        # A distant atom must not shrink the others to dots.
        limit = 4 * len(points) ** (1 / 3) * np.max(radii)
        depth = min(np.max(np.linalg.norm(frame, axis=1) + reach), 2 * limit)
        self.distance = CAMERA_DISTANCE * depth
        magnified = self._magnify(frame[:, 2])
        extent = np.max(magnified * (np.abs(frame[:, :2]).max(axis=1) + reach))
        if corners is None:
            extent = min(extent, limit)
        self.size = size * samples
        bottom = 2.2 * FONT_SIZE / REFERENCE_SIZE if captioned else 0.0
        self.scale = 0.47 * (1 - bottom) * self.size / extent
        self.middle = self.size * np.array([0.5, 0.5 * (1 - bottom)])
        self.camera = camera
        self.seen, self.radii, self.depth = seen, radii, depth
        self.width = samples
        self.front = np.full((self.size, self.size), -np.inf, np.float32)
        self.owner = np.full((self.size, self.size), -1, np.int32)
        self._fill_depth_buffer()

    def _magnify(self, depth):
        return self.distance / np.maximum(self.distance - depth, 0.2 * self.distance)

    def _project(self, seen):
        """Project to columns, rows and depths on the canvas, in pixels."""
        factor = self._magnify(seen[:, 2]) * self.scale
        columns = self.middle[0] + factor * seen[:, 0]
        rows = self.middle[1] - factor * seen[:, 1]
        return columns, rows, self.scale * seen[:, 2]

    def _fill_depth_buffer(self):
        columns, rows, depths = self._project(self.seen)
        sizes = self.radii * self._magnify(self.seen[:, 2]) * self.scale
        self.centres = np.stack([columns, rows, sizes], axis=1).astype(np.float32)
        nowhere: tuple[slice, slice] = (slice(0), slice(0))
        self.windows = [nowhere] * len(self.centres)
        last = self.size - 1
        for atom, (x, y, radius) in enumerate(self.centres):
            if not (-radius < x < last + radius and -radius < y < last + radius):
                continue
            left, right = max(int(x - radius), 0), min(int(x + radius) + 1, last)
            top, bottom = max(int(y - radius), 0), min(int(y + radius) + 1, last)
            dx = (np.arange(left, right + 1, dtype=np.float32) - x) ** 2
            dy = (np.arange(top, bottom + 1, dtype=np.float32) - y) ** 2
            bulge = radius * radius - dx - dy[:, None]
            inside = bulge > 0
            np.maximum(bulge, 0, out=bulge)
            np.sqrt(bulge, out=bulge)
            bulge += np.float32(depths[atom])
            window = (slice(top, bottom + 1), slice(left, right + 1))
            self.windows[atom] = window
            inside &= bulge > self.front[window]
            np.copyto(self.front[window], bulge, where=inside)
            np.copyto(self.owner[window], atom, where=inside)

    def _compute_fog(self, depth):
        """Fraction of the background's colour that is mixed in at a depth."""
        veil = 0.26 - np.float32(0.30 / (self.scale * self.depth)) * depth
        return np.clip(veil, 0, 0.6)

    def _compute_openness(self) -> Float32[np.ndarray, "atoms 3"]:
        """A vector per atom that points away from its neighbours, for occlusion."""
        apart = self.seen[:, None] - self.seen
        separation = np.linalg.norm(apart, axis=-1)
        touching = self.radii[:, None] + self.radii
        weight = np.clip(1.9 - separation / touching, 0, 1) / np.maximum(
            separation, 1e-6 * touching
        )
        np.fill_diagonal(weight, 0)
        return np.einsum("ij,ijk->ik", weight, apart).astype(np.float32)

    def shade(self, canvas, colours):
        """Shade the visible parts of the spheres."""
        light = LIGHT_DIRECTION / np.linalg.norm(LIGHT_DIRECTION)
        half = light + np.array([0, 0, 1], np.float32)
        half /= np.linalg.norm(half)
        openness = OCCLUSION * self._compute_openness()
        for atom, (x, y, radius) in enumerate(self.centres):
            window = self.windows[atom]
            visible = self.owner[window] == atom
            if not visible.any():
                continue
            rows, columns = np.nonzero(visible)
            nx = (columns - (x - window[1].start)).astype(np.float32) / radius
            ny = ((y - window[0].start) - rows).astype(np.float32) / radius
            nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0))
            lit = nx * light[0] + ny * light[1] + nz * light[2]
            shine = np.maximum(nx * half[0] + ny * half[1] + nz * half[2], 0)
            bare = nx * openness[atom, 0] + ny * openness[atom, 1]
            bare += nz * openness[atom, 2]
            brightness = 0.42 + 0.66 * np.maximum(lit, 0) + 0.10 * lit
            brightness *= np.clip(0.80 + bare, 0.4, 1.0)
            brightness *= 0.62 + 0.38 * np.sqrt(nz)
            for _ in range(HIGHLIGHT_LOG2_EXPONENT):
                shine *= shine
            colour = brightness[:, None] * colours[atom]
            np.minimum(colour, 255, out=colour)
            colour += HIGHLIGHT_BRIGHTNESS * shine[:, None] * (255 - colour)
            fog = self._compute_fog(self.front[window][visible])[:, None]
            patch = canvas[window]
            colour += fog * (patch[visible] - colour)
            patch[visible] = colour

    def draw_box(self, canvas, corners):
        """Draw the visible parts of the edges of the box."""
        starts, ends = [], []
        for corner in range(8):
            for axis in (1, 2, 4):
                if not corner & axis:
                    starts.append(corner)
                    ends.append(corner | axis)
        along = np.linspace(0, 1, 2 * self.size)[:, None, None]
        turned = corners @ self.camera.T
        points = (1 - along) * turned[starts] + along * turned[ends]
        columns, rows, depths = self._project(points.reshape(-1, 3))
        fog = self._compute_fog(depths)[:, None].astype(np.float32)
        order = np.argsort(depths)
        for dx, dy in np.ndindex(self.width, self.width):
            x = np.clip(columns.astype(int) + dx, 0, self.size - 1)[order]
            y = np.clip(rows.astype(int) + dy, 0, self.size - 1)[order]
            visible = depths[order] > self.front[y, x]
            x, y, veil = x[visible], y[visible], fog[order][visible]
            self.owner[y, x] = -1
            canvas[y, x] = INK + veil * (_background_column(self.size)[y, 0] - INK)


@functools.lru_cache(maxsize=4)
def _render_glyphs(height: float) -> dict[str, Float32[np.ndarray, "rows columns"]]:
    """Coverage of each printable ASCII character, rendered by Matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cell = round(1.4 * height)
    characters = [chr(code) for code in range(32, 127)]
    figure = Figure(figsize=(cell * len(characters) / 100, 2 * cell / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    for i, character in enumerate(characters):
        figure.text(
            (i + 0.1) / len(characters),
            0.5,
            character,
            fontsize=0.72 * height,
            verticalalignment="baseline",
            parse_math=False,
        )
    canvas.draw()
    ink = 1 - np.asarray(canvas.buffer_rgba())[..., 0].astype(np.float32) / 255
    glyphs = {}
    for i, character in enumerate(characters):
        glyph = ink[:, i * cell : (i + 1) * cell]
        used = np.flatnonzero(glyph.any(axis=0))
        if used.size:
            glyph = glyph[:, used[0] : used[-1] + 1]
        else:
            glyph = glyph[:, : max(round(0.25 * height), 1)]
        glyphs[character] = glyph
    return glyphs


def _write_caption(picture: np.ndarray, caption: str) -> None:
    """Write a line of text at the bottom of a picture, in place."""
    size = len(picture)
    height = max(FONT_SIZE * size / REFERENCE_SIZE, 6.0)
    glyphs = _render_glyphs(height)
    gap = np.zeros((len(glyphs[" "]), max(round(0.11 * height), 1)), np.float32)
    strips = [gap]
    for character in caption:
        strips += [glyphs.get(character, glyphs["?"]), gap]
    ink = np.concatenate(strips, axis=1)
    rows = np.flatnonzero(np.any([g.any(axis=1) for g in glyphs.values()], axis=0))
    ink = ink[rows[0] : rows[-1] + 1, :size]
    top = size - len(ink) - round(0.5 * height)
    left = (size - ink.shape[1]) // 2
    window = picture[top : top + len(ink), left : left + ink.shape[1]]
    window += ink[..., None] * (INK - window)
