"""All published data sets by name, and which parts of one are chosen."""

from __future__ import annotations

from collections.abc import Sequence

from wavenet_app.core.errors import UserError
from wavenet_app.core.text import did_you_mean
from wavenet_app.downloads import audio_sets, image_sets
from wavenet_app.downloads.data_set import DataSet

DATA_SETS: dict[str, DataSet] = {
    one.name: one
    for one in (
        audio_sets.LJSPEECH,
        audio_sets.VCTK,
        audio_sets.LIBRITTS,
        audio_sets.CMU_ARCTIC,
        audio_sets.SPEECH_COMMANDS,
        audio_sets.YESNO,
        audio_sets.FSDD,
        image_sets.VOC,
        image_sets.COCO,
        image_sets.ADE20K,
        image_sets.CITYSCAPES,
    )
}


def data_set(name: str) -> DataSet:
    """Returns the data set of a name, in any case.

    Raises:
        UserError: there is none; the message lists the names.
    """
    found = DATA_SETS.get(name.lower())
    if found is None:
        hint = did_you_mean(name, DATA_SETS)
        raise UserError(f"there is no data set '{name}' to get; choose from {', '.join(DATA_SETS)}{hint}")
    return found


def chosen_parts(one: DataSet, *, sbd: bool, subsets: Sequence[str], voices: Sequence[str]) -> tuple[str, ...]:
    """Returns the parts of a data set that the options of `wavegen data get` choose.

    Raises:
        UserError: there is no such subset or voice.
    """
    given = {"voc": ["sbd"] if sbd else [], "libritts": subsets, "cmu-arctic": voices}.get(one.name, ())
    for part in given:
        if part not in one.parts:
            raise UserError(
                f"{one.name} has no '{part}'; choose from {', '.join(one.parts)}{did_you_mean(part, one.parts)}"
            )
    return tuple(given)


def refuse_foreign_options(names: Sequence[str], *, sbd: bool, subsets: Sequence[str], voices: Sequence[str]) -> None:
    """Raises a UserError if an option is given for a data set that is not among those named."""
    for flag, given, owner in (
        ("--with-sbd", sbd, "voc"),
        ("--subset", subsets, "libritts"),
        ("--voice", voices, "cmu-arctic"),
    ):
        if given and owner not in {name.lower() for name in names}:
            raise UserError(f"{flag} is for {owner}; leave it out or name {owner}")
