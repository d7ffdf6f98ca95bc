"""The published speech and other audio."""

from __future__ import annotations

from wavenet_app.core.published import PUBLISHED
from wavenet_app.downloads.data_set import Archive, Count, DataSet

# torchaudio.datasets.libritts has the checksums; the sizes are those of openslr.org/60, the counts those of its paper
_LIBRITTS = {
    "dev-clean": (1_291_469_655, True, 5_736, "da0864e1bd26debed35da8a869dd5c04dfc27682921936de7cff9c8a254dbe1a"),
    "dev-other": (970_000_000, False, 4_613, "d413eda26f3a152ac7c9cf3658ef85504dfb1b625296e5fa83727f5186cca79c"),
    "test-clean": (1_270_000_000, False, 4_837, "234ea5b25859102a87024a4b9b86641f5b5aaaf1197335c95090cde04fe9a4f5"),
    "test-other": (1_000_000_000, False, 5_120, "33a5342094f3bba7ccc2e0500b9e72d558f72eb99328ac8debe1d9080402f10d"),
    "train-clean-100": (
        7_723_686_890, True, 33_236, "c5608bf1ef74bb621935382b8399c5cdd51cd3ee47cec51f00f885a64c6c7f6b",
    ),
    "train-clean-360": (
        27_500_000_000, False, 116_500, "ce7cff44dcac46009d18379f37ef36551123a1dc4e5c8e4eb73ae57260de4886",
    ),
    "train-other-500": (
        44_000_000_000, False, 205_044, "e35f7e34deeb2e2bdfe4403d88c8fdd5fbf64865cae41f027a185a6965f0a5df",
    ),
}  # fmt: skip

_ARCTIC = {
    "aew": "645cb33c0f0b2ce41384fdd8d3db2c3f5fc15c1e688baeb74d2e08cab18ab406",
    "ahw": "024664adeb892809d646a3efd043625b46b5bfa3e6189b3500b2d0d59dfab06c",
    "aup": "2c55bc3050caa996758869126ad10cf42e1441212111db034b3a45189c18b6fc",
    "awb": "d74a950c9739a65f7bfc4dfa6187f2730fa03de5b8eb3f2da97a51b74df64d3c",
    "axb": "dd65c3d2907d1ee52f86e44f578319159e60f4bf722a9142be01161d84e330ff",
    "bdl": "26b91aaf48b2799b2956792b4632c2f926cd0542f402b5452d5adecb60942904",
    "clb": "3f16dc3f3b97955ea22623efb33b444341013fc660677b2e170efdcc959fa7c6",
    "eey": "8a0ee4e5acbd4b2f61a4fb947c1730ab3adcc9dc50b195981d99391d29928e8a",
    "fem": "3fcff629412b57233589cdb058f730594a62c4f3a75c20de14afe06621ef45e2",
    "gka": "dc82e7967cbd5eddbed33074b0699128dbd4482b41711916d58103707e38c67f",
    "jmk": "3a37c0e1dfc91e734fdbc88b562d9e2ebca621772402cdc693bbc9b09b211d73",
    "ksp": "8029cafce8296f9bed3022c44ef1e7953332b6bf6943c14b929f468122532717",
    "ljm": "b23993765cbf2b9e7bbc3c85b6c56eaf292ac81ee4bb887b638a24d104f921a0",
    "lnh": "4faf34d71aa7112813252fb20c5433e2fdd9a9de55a00701ffcbf05f24a5991a",
    "rms": "c6dc11235629c58441c071a7ba8a2d067903dfefbaabc4056d87da35b72ecda4",
    "rxr": "1fa4271c393e5998d200e56c102ff46fcfea169aaa2148ad9e9469616fbfdd9b",
    "slp": "54345ed55e45c23d419e9a823eef427f1cc93c83a710735ec667d068c916abf1",
    "slt": "7c173297916acf3cc7fcab2713be4c60b27312316765a90934651d367226b4ea",
}


def _openslr(path: str) -> tuple[str, ...]:
    hosts = ("http://www.openslr.org", "https://us.openslr.org", "https://openslr.trmal.net")
    return tuple(f"{host}/resources/{path}" for host in hosts)


LJSPEECH = DataSet(
    short=PUBLISHED["ljspeech"],
    title="LJ Speech 1.1 (Keith Ito)",
    items="13,100 clips of one voice, 24 h, 22.05 kHz",
    page="https://keithito.com/LJ-Speech-Dataset/",
    licence="Public domain.",
    archives=(
        Archive(
            name="LJSpeech-1.1.tar.bz2",
            urls=("https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",),
            folder="speech",
            product="LJSpeech-1.1",
            size=2_748_572_632,
            unpacked=3_800_000_000,
            checksum="sha256:be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
        ),
    ),
    counts=(Count("speech/LJSpeech-1.1/wavs", ".wav", 13_100),),
    next_command="wavegen train speech/LJSpeech-1.1",
    layout=("metadata.csv       name|text|text with numbers written out", "wavs/LJ001-0001.wav ..."),
)

VCTK = DataSet(
    short=PUBLISHED["vctk"],
    title="VCTK 0.92 (CSTR, University of Edinburgh)",
    items="110 voices of many accents, about 400 sentences each, two microphones, 48 kHz FLAC",
    page="https://doi.org/10.7488/ds/2645",
    licence="CC BY 4.0: name the source.",
    archives=(
        Archive(
            name="VCTK-Corpus-0.92.zip",
            urls=("https://datashare.is.ed.ac.uk/bitstream/handle/10283/3443/VCTK-Corpus-0.92.zip",),
            folder="speech/VCTK-Corpus-0.92",
            product="",
            size=11_747_302_977,
            unpacked=12_000_000_000,
            checksum="sha256:f96258be9fdc2cbff6559541aae7ea4f59df3fcaf5cf963aae5ca647357e359c",
        ),
    ),
    counts=(Count("speech/VCTK-Corpus-0.92/wav48_silence_trimmed", ".flac", None),),
    next_command=(
        r"wavegen train speech/VCTK-Corpus-0.92/wav48_silence_trimmed --speakers folder --split-by '[ps]\d+_\d+'"
    ),
    layout=("speaker-info.txt", "txt/p225/p225_001.txt ...", "wav48_silence_trimmed/p225/p225_001_mic1.flac ..."),
)

LIBRITTS = DataSet(
    short=PUBLISHED["libritts"],
    title="LibriTTS (Zen et al. 2019)",
    items="read books, 24 kHz; dev-clean has 5,736 clips of 40 voices",
    page="https://www.openslr.org/60/",
    licence="CC BY 4.0: name the source.",
    archives=tuple(
        Archive(
            name=f"{subset}.tar.gz",
            urls=_openslr(f"60/{subset}.tar.gz"),
            folder="speech",
            product=f"LibriTTS/{subset}",
            size=size,
            unpacked=round(1.4 * size),
            exact=exact,
            checksum=f"sha256:{digest}",
            part=subset,
        )
        for subset, (size, exact, _, digest) in _LIBRITTS.items()
    ),
    counts=tuple(
        Count(f"speech/LibriTTS/{subset}", ".wav", number, part=subset)
        for subset, (_, _, number, _) in _LIBRITTS.items()
    ),
    next_command="wavegen train speech/LibriTTS --speakers folder",
    default_part="dev-clean",
    layout=("dev-clean/84/121123/84_121123_000007_000001.wav ...",),
)

CMU_ARCTIC = DataSet(
    short=PUBLISHED["cmu-arctic"],
    title="CMU ARCTIC (Carnegie Mellon University)",
    items="single voices reading about 1,132 sentences each, 1 h, 16 kHz",
    page="http://www.festvox.org/cmu_arctic/",
    licence="Free for any use, also commercial, if the copyright notice is kept.",
    archives=tuple(
        Archive(
            name=f"cmu_us_{voice}_arctic.tar.bz2",
            urls=(f"http://festvox.org/cmu_arctic/packed/cmu_us_{voice}_arctic.tar.bz2",),
            folder="speech/ARCTIC",
            product=f"cmu_us_{voice}_arctic",
            size=100_000_000,
            unpacked=250_000_000,
            exact=False,
            checksum=f"sha256:{digest}",
            part=voice,
        )
        for voice, digest in _ARCTIC.items()
    ),
    counts=tuple(
        Count(f"speech/ARCTIC/cmu_us_{voice}_arctic/wav", ".wav", 1_132 if voice == "slt" else None, part=voice)
        for voice in _ARCTIC
    ),
    next_command="wavegen train speech/ARCTIC/cmu_us_slt_arctic/wav",
    default_part="slt",
    layout=("cmu_us_slt_arctic/etc/txt.done.data   the prompts", "cmu_us_slt_arctic/wav/arctic_a0001.wav ..."),
)

SPEECH_COMMANDS = DataSet(
    short=PUBLISHED["speechcommands"],
    title="Speech Commands 0.02 (Warden 2018)",
    items="105,829 recordings of 35 words, one second each, 16 kHz",
    page="https://arxiv.org/abs/1804.03209",
    licence="CC BY 4.0: name the source.",
    archives=(
        Archive(
            name="speech_commands_v0.02.tar.gz",
            urls=(
                "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
                "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
            ),
            folder="audio_samples/speech_commands_v0.02",
            product="",
            size=2_428_923_189,
            unpacked=3_700_000_000,
            checksum="sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        ),
    ),
    counts=(Count("audio_samples/speech_commands_v0.02", ".wav", 105_835),),  # six of them are background noise
    next_command="wavegen train audio_samples/speech_commands_v0.02",
    layout=("bed/00176480_nohash_0.wav ...", "_background_noise_/running_tap.wav ..."),
)

YESNO = DataSet(
    short=PUBLISHED["yesno"],
    title="Yes/no in Hebrew (openslr.org/1)",
    items="60 recordings of one voice, 8 kHz",
    page="https://www.openslr.org/1/",
    licence="CC BY-SA 3.0 US: name the source and share alike.",
    archives=(
        Archive(
            name="waves_yesno.tar.gz",
            urls=_openslr("1/waves_yesno.tar.gz"),
            folder="audio_samples",
            product="waves_yesno",
            size=4_700_000,
            unpacked=10_000_000,
            exact=False,
            checksum="sha256:c3f49e0cca421f96b75b41640749167b52118f232498667ca7a5f9416aef8e73",
        ),
    ),
    counts=(Count("audio_samples/waves_yesno", ".wav", 60),),
    next_command="wavegen train audio_samples/waves_yesno",
    layout=("0_0_0_0_1_1_1_1.wav ...",),
)

FSDD = DataSet(
    short=PUBLISHED["fsdd"],
    title="Free Spoken Digit Dataset (Zohar Jackson and others)",
    items="3,000 recordings of the digits by six voices, 8 kHz",
    page="https://github.com/Jakobovski/free-spoken-digit-dataset",
    licence="CC BY-SA 4.0: name the source and share alike.",
    archives=(
        Archive(
            name="free-spoken-digit-dataset-1.0.10.tar.gz",
            urls=("https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz",),
            folder="audio_samples/free-spoken-digit-dataset",
            product="",
            size=21_000_000,
            unpacked=30_000_000,
            exact=False,
            strip=1,
        ),
    ),
    counts=(Count("audio_samples/free-spoken-digit-dataset/recordings", ".wav", 3_000),),
    next_command="wavegen train audio_samples/free-spoken-digit-dataset --speakers 'regex:\\d_([a-z]+)_\\d'",
    layout=("recordings/7_jackson_32.wav ...      {digit}_{speaker}_{take}.wav",),
)
