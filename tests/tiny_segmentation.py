"""Settings of a segmentation run small enough for a test."""

TINY_DEEPLAB = [
    "--set=model.backbone=dilated",
    "--set=model.aspp_channels=8",
    "--set=training.crop_size=32",
    "--set=training.batch_size=2",
    "--set=training.processes=1",
    "--set=training.start_from=none",
    "--set=training.validation_images=2",
    "--set=training.learning_rate=0.001",
]
