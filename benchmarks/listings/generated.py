"""Product pictures, drawn: what a store's listings look like to a perceptual hash.

Two of three stand alone on white or nearly so, as marketplaces ask for; the others lie on a table,
in front of a wall or in a hand's shadow. A product is a silhouette of a few parts, shaded, with a
texture, seams and lettering. Pictures of one seed are the same on every machine with one Pillow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

LETTERS = "ABCDEFGHIKLMNOPRSTUVXYZ"


def product_picture(seed: int, side: int = 512) -> Image.Image:
    """One product picture, `side` pixels wide and high.

    Args:
        seed: which.
        side: pixels.
    """
    random = np.random.default_rng([seed, 11])
    silhouette = _silhouette(random, side)
    surface = _surface(random, side)
    picture = _background(random, side, silhouette)
    picture.paste(surface, mask=silhouette)
    _details(random, picture, silhouette)
    return picture


def _silhouette(random: np.random.Generator, side: int) -> Image.Image:
    """A few overlapping parts, somewhere near the middle, turned a little."""
    drawn = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(drawn)
    half = side * random.uniform(0.32, 0.48)
    tall = random.uniform(0.55, 1.0), random.uniform(0.55, 1.0)
    centre = side / 2 + random.normal(0, side * 0.02, 2)
    for _ in range(random.integers(2, 7)):
        at = centre + random.uniform(-0.6, 0.6, 2) * half * tall
        size = random.uniform(0.25, 0.75, 2) * half * tall
        box = [*(at - size), *(at + size)]
        kind = random.integers(4)
        if kind == 0:
            draw.ellipse(box, fill=255)
        elif kind == 1:
            draw.rounded_rectangle(box, radius=float(size.min() * random.uniform(0, 0.6)), fill=255)
        elif kind == 2:
            angles = np.sort(random.uniform(0, 2 * np.pi, random.integers(3, 9)))
            corners = at + np.stack([np.cos(angles), np.sin(angles)], 1) * size
            draw.polygon([tuple(corner) for corner in corners.tolist()], fill=255)
        else:
            width = int(side * random.uniform(0.01, 0.06)) + 1
            first, last = sorted(random.uniform(0, 360, 2).tolist())
            draw.arc(box, first, last, fill=255, width=width)
    return drawn.rotate(float(random.normal(0, 12)), Image.Resampling.BILINEAR)


def _surface(random: np.random.Generator, side: int) -> Image.Image:
    """Colour, light from one side, and a texture."""
    y, x = np.mgrid[0:side, 0:side] / side
    colour = random.uniform(20, 235, 3)
    angle = random.uniform(0, 2 * np.pi)
    light = 1 + random.uniform(0.1, 0.5) * (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5))
    turned = np.cos(angle * 3) * x + np.sin(angle * 3) * y
    kind = random.integers(4)
    if kind == 0:
        texture = 1 + 0.2 * np.sin(turned * random.uniform(20, 160))
    elif kind == 1:
        cells = random.uniform(0.6, 1.2, (int(random.integers(4, 24)),) * 2)
        texture = _enlarged(cells, side)
    elif kind == 2:
        texture = 1 + 0.25 * np.sign(np.sin(x * random.uniform(15, 90)) * np.sin(y * 50))
    else:
        texture = np.ones_like(x)
    pixels = colour * (light * texture)[..., np.newaxis] + random.normal(0, 3, (side, side, 1))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _background(random: np.random.Generator, side: int, silhouette: Image.Image) -> Image.Image:
    if random.random() < 2 / 3:
        white = int(random.integers(244, 256))
        picture = Image.new("RGB", (side, side), (white,) * 3)
        if random.random() < 0.5:
            shadow = ImageChops.offset(silhouette, 0, int(side * 0.03))
            shadow = shadow.filter(ImageFilter.GaussianBlur(side * 0.02))
            picture.paste(Image.new("RGB", (side, side), (200,) * 3), mask=shadow)
        return picture
    cells = random.uniform(0.4, 1.0, (int(random.integers(2, 9)), int(random.integers(2, 60))))
    scene = _enlarged(cells, side)[..., np.newaxis] * random.uniform(90, 250, 3)
    scene += random.normal(0, 5, (side, side, 1))
    return Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8))


def _details(random: np.random.Generator, picture: Image.Image, silhouette: Image.Image) -> None:
    """Seams, buttons and lettering on the product."""
    side = picture.width
    marks = picture.copy()
    draw = ImageDraw.Draw(marks)
    for _ in range(random.integers(3, 16)):
        shade = tuple(random.integers(0, 256, 3).tolist())
        at = random.uniform(0.2, 0.8, 4) * side
        width = int(random.integers(1, max(2, side // 40)))
        kind = random.integers(3)
        if kind == 0:
            draw.line(at.tolist(), fill=shade, width=width)
        elif kind == 1:
            radius = random.uniform(0.01, 0.08) * side
            draw.ellipse([at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius], shade)
        else:
            letters = "".join(random.choice(list(LETTERS), random.integers(2, 8)))
            size = int(side * random.uniform(0.05, 0.16))
            draw.text((at[0] * 0.7, at[1]), letters, fill=shade, font_size=size)
    picture.paste(marks, mask=silhouette)


def _enlarged(cells: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    small = Image.fromarray(cells.astype(np.float32))
    large = small.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(large).astype(np.float64)
