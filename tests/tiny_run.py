"""Settings of a run small enough for a test."""

TINY_NET = [
    "--set=model.residual_channels=4",
    "--set=model.dilation_channels=4",
    "--set=model.skip_channels=8",
    "--set=model.dilations=[1,2,4]",
    "--set=training.window=256",
]
TINY = [*TINY_NET, "--set=training.processes=1"]
