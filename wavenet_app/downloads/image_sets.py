"""The published images with masks."""

from __future__ import annotations

from wavenet_app.core.published import PUBLISHED
from wavenet_app.downloads.data_set import Archive, Count, DataSet

_VOC = "pascal_voc/VOCdevkit/VOC2012"
_SBD = "pascal_voc/benchmark_RELEASE/dataset"
_ADE = "ade20k/ADEChallengeData2016"


def _coco(path: str) -> tuple[str, ...]:
    return (f"http://images.cocodataset.org/{path}", f"https://s3.amazonaws.com/images.cocodataset.org/{path}")


VOC = DataSet(
    short=PUBLISHED["voc"],
    title="Pascal VOC 2012",
    items="2,913 images with masks, 20 classes; 10,582 for training with SBD",
    page="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
    licence="The photographs come from Flickr and are under its terms; use them for research.",
    archives=(
        Archive(
            name="VOCtrainval_11-May-2012.tar",
            urls=(  # the hosts in Oxford are often unreachable
                "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                "https://pjreddie.com/media/files/VOCtrainval_11-May-2012.tar",
            ),
            folder="pascal_voc",
            product="VOCdevkit/VOC2012",
            size=1_999_639_040,
            unpacked=2_000_000_000,
            checksum="sha256:e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
        ),
        Archive(
            name="benchmark.tgz",
            urls=(
                "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
            ),
            folder="pascal_voc",
            product="benchmark_RELEASE",
            size=1_420_000_000,
            unpacked=1_700_000_000,
            exact=False,
            checksum="md5:82b4d87ceb2ed10f6038a1cba92111cb",
            part="sbd",
        ),
    ),
    counts=(
        Count(f"{_VOC}/JPEGImages", ".jpg", 17_125),
        Count(f"{_VOC}/SegmentationClass", ".png", 2_913, f"{_VOC}/JPEGImages", ".jpg"),
        Count(f"{_SBD}/cls", ".mat", 11_355, f"{_SBD}/img", ".jpg", part="sbd"),
    ),
    next_command="wavegen seg-train voc",
    layout=(
        "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt  val.txt  trainval.txt",
        "VOCdevkit/VOC2012/JPEGImages/2007_000032.jpg ...",
        "VOCdevkit/VOC2012/SegmentationClass/2007_000032.png ...   the index is the class, 255 is the border",
        "benchmark_RELEASE/dataset/cls/2008_000002.mat ...         with --with-sbd",
    ),
)

COCO = DataSet(
    short=PUBLISHED["coco"],
    title="COCO 2017",
    items="118,287 images for training and 5,000 for validation, 80 classes",
    page="https://cocodataset.org",
    licence="The annotations are CC BY 4.0; each photograph keeps the Flickr licence of its owner.",
    archives=(
        Archive(
            name="annotations_trainval2017.zip",
            urls=_coco("annotations/annotations_trainval2017.zip"),
            folder="coco",
            product="annotations",
            size=252_907_541,
            unpacked=830_000_000,
            checksum="sha256:113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
        ),
        Archive(
            name="val2017.zip",
            urls=_coco("zips/val2017.zip"),
            folder="coco",
            product="val2017",
            size=815_585_330,
            unpacked=820_000_000,
            checksum="sha256:4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
        ),
        Archive(
            name="train2017.zip",
            urls=_coco("zips/train2017.zip"),
            folder="coco",
            product="train2017",
            size=19_336_861_798,
            unpacked=19_400_000_000,
            checksum="sha256:69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
        ),
    ),
    counts=(
        Count("coco/train2017", ".jpg", 118_287),
        Count("coco/val2017", ".jpg", 5_000),
        Count("coco/annotations", "2017.json", 6),
    ),
    next_command="wavegen seg-train coco",
    layout=(
        "annotations/instances_train2017.json  instances_val2017.json",
        "train2017/000000000009.jpg ...",
        "val2017/000000000139.jpg ...",
    ),
)

ADE20K = DataSet(
    short=PUBLISHED["ade20k"],
    title="ADE20K, MIT scene parsing benchmark",
    items="20,210 images for training and 2,000 for validation, 150 classes",
    page="http://sceneparsing.csail.mit.edu",
    licence="Annotations BSD 3-clause; the images are for non-commercial research and education.",
    archives=(
        Archive(
            name="ADEChallengeData2016.zip",
            urls=("http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",),
            folder="ade20k",
            product="ADEChallengeData2016",
            size=967_382_037,
            unpacked=1_050_000_000,
            checksum="sha256:7ff1be44964418441f542a7cc1e1a650e7dc0fc275f5d23252bc9bbdbc977b29",
        ),
    ),
    counts=tuple(
        Count(f"{_ADE}/annotations/{split}", ".png", number, f"{_ADE}/images/{split}", ".jpg")
        for split, number in (("training", 20_210), ("validation", 2_000))
    ),
    next_command="wavegen seg-train ade20k",
    layout=(
        "ADEChallengeData2016/images/training/ADE_train_00000001.jpg ...",
        "ADEChallengeData2016/annotations/training/ADE_train_00000001.png ...   0 is ignored, 1 to 150 are the classes",
    ),
)

CITYSCAPES = DataSet(
    short=PUBLISHED["cityscapes"],
    title="Cityscapes, fine annotations",
    items="2,975 street scenes for training and 500 for validation, 19 classes",
    page="https://www.cityscapes-dataset.com",
    licence="Non-commercial use only; the images may not be redistributed.",
    archives=(
        Archive(
            name="gtFine_trainvaltest.zip",
            urls=(),
            folder="cityscapes",
            product="gtFine",
            size=252_000_000,
            unpacked=1_200_000_000,
            exact=False,
        ),
        Archive(
            name="leftImg8bit_trainvaltest.zip",
            urls=(),
            folder="cityscapes",
            product="leftImg8bit",
            size=11_600_000_000,
            unpacked=11_700_000_000,
            exact=False,
        ),
    ),
    counts=tuple(
        Count(
            f"cityscapes/gtFine/{split}",
            "_gtFine_labelIds.png",
            number,
            f"cityscapes/leftImg8bit/{split}",
            "_leftImg8bit.png",
        )
        for split, number in (("train", 2_975), ("val", 500))
    ),
    next_command="wavegen seg-train cityscapes",
    registration=(
        "cityscapes needs an account: register at https://www.cityscapes-dataset.com, download "
        "gtFine_trainvaltest.zip (241 MB) and leftImg8bit_trainvaltest.zip (11 GB), and run: "
        "wavegen data get cityscapes --from FOLDER"
    ),
    layout=(
        "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png ...",
        "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png ...",
    ),
)
