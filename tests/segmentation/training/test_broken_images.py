"""A broken image among many does not end a training: it is skipped, named and counted."""

from image_sets import picture, save, stripes, write_custom
from tiny_segmentation import TINY_DEEPLAB


def test_a_truncated_image_is_skipped_and_named(wavegen, tmp_path):
    names = [f"train/{number:03d}.png" for number in range(40)]
    root = write_custom(tmp_path / "set", dict.fromkeys([*names, "val/z.png"], stripes([0, 1], 40, 40)), "a\nb")
    (root / "images" / "train" / "007.png").unlink()
    # the head of a truncated JPEG can be read, so nothing shows before its pixels are
    path = save(root / "images" / "train" / "007.jpg", picture(0, 40, 40))
    path.write_bytes(path.read_bytes()[:-200])
    code, out, err = wavegen("seg-train", root, "--max-steps=21", *TINY_DEEPLAB, "--logger=none", "--name=net")
    assert code == 0, err
    assert "007.jpg" in out
    assert "1 image could not be used" in out
    assert "wavegen seg-check" in out
