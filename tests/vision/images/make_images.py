#!/usr/bin/env python3
"""Makes the small odd pictures beside it that OpenCV cannot write. Needs Pillow: python3 -m pip install pillow.

Each shows the same card: left half red, right half blue, the top-left quarter green. Run again, it writes the same
pictures (bytes may differ between Pillow versions).
"""
import pathlib

from PIL import Image, ImageDraw

FOLDER = pathlib.Path(__file__).parent
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def card(width=48, height=32):
    image = Image.new("RGB", (width, height), BLUE)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 2 - 1, height - 1), fill=RED)
    draw.rectangle((0, 0, width // 2 - 1, height // 2 - 1), fill=GREEN)
    return image


def adobe_marker_removed(jpeg):
    """The same JPEG without its APP14 segment: what writers other than Adobe's produce."""
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") :]


def main():
    image = card()
    image.convert("CMYK").save(FOLDER / "cmyk.jpg", quality=95)
    # Without the marker, values mean ink and not paper, so that the ink goes in inverted.
    inverted = image.convert("CMYK").point(lambda value: 255 - value)
    inverted.save(FOLDER / "cmyk_plain.jpg", quality=95)
    path = FOLDER / "cmyk_plain.jpg"
    path.write_bytes(adobe_marker_removed(path.read_bytes()))

    other = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image.save(FOLDER / "animated.gif", save_all=True, append_images=[other])
    image.save(FOLDER / "animated.webp", save_all=True, append_images=[other], lossless=True)
    image.save(FOLDER / "animated.png", save_all=True, append_images=[other])
    image.save(FOLDER / "pages.tiff", save_all=True, append_images=[other])
    image.rotate(90, expand=True).save(FOLDER / "orientation_6.tiff", tiffinfo={274: 6})

    image.convert("P", palette=Image.Palette.ADAPTIVE, colors=4).save(FOLDER / "palette.png", transparency=0)
    grey = Image.new("LA", (48, 32), (0, 0))
    grey.paste((100, 255), (0, 0, 24, 32))
    grey.save(FOLDER / "grey_alpha.png")
    image.rotate(90, expand=True).save(FOLDER / "orientation_6.png", exif=exif(6))
    image.rotate(90, expand=True).save(FOLDER / "orientation_6.webp", exif=exif(6), lossless=True)
    Image.new("F", (8, 8), 0.5).save(FOLDER / "floating_point.tiff")


def exif(orientation):
    values = Image.Exif()
    values[274] = orientation
    return values


if __name__ == "__main__":
    main()
