import numpy as np

from facial_attributes_ros.imaging.mosaic import mosaic, without_bars


def grey(height, width):
    return np.full((height, width, 3), 90, np.uint8)


def test_images_of_any_sizes_lie_apart_and_keep_their_pixels():
    images = [grey(64, 128), grey(100, 20), grey(128, 128)]
    canvas, boxes = mosaic(images)
    for image, (x, y, width, height) in zip(images, boxes.astype(int), strict=True):
        assert (height, width) == image.shape[:2]
        assert (canvas[y : y + height, x : x + width] == 90).all()
        around = canvas[y - height // 2 : y + height + height // 2, x - 10 : x + width + 10]
        assert (around == 90).sum() == image.size, "a crop with a margin shows no other face"


def test_without_images_there_is_an_image_all_the_same():
    canvas, boxes = mosaic([])
    assert canvas.ndim == 3
    assert boxes.shape == (0, 4)


def test_bars_that_make_a_crop_square_are_no_part_of_the_face():
    crop = np.zeros((128, 128, 3), np.uint8)
    crop[:, 20:108] = 50
    assert without_bars(crop).tolist() == [20, 0, 88, 128]


def test_a_dark_image_stays_whole():
    crop = np.zeros((128, 128, 3), np.uint8)
    crop[60:70, 60:70] = 50
    assert without_bars(crop).tolist() == [0, 0, 128, 128]
    assert without_bars(np.zeros_like(crop)).tolist() == [0, 0, 128, 128]
