"""The data sets of motion."""

from sslbook.data.catalog import DataFile, DataSet
from sslbook.domains.motion import eth_ucy

TRAJECTRON, FOLDER = "StanfordASL/Trajectron-plus-plus", "experiments/pedestrians/raw/raw/all_data"
COMMITS = ("1031c7bd", "40dec06e9cfef9e0d5f5ec69da2c4058a556bba9", "master")
OBSMAT = "crowdbotp/OpenTraj/{}/datasets/ETH/seq_eth/obsmat.txt"


def _recording(name: str, size: int, sha256: str) -> DataFile:
    """Return the file of one recording; ``size`` is about, since ``sha256`` is that of its numbers."""
    hosts = tuple(f"https://raw.githubusercontent.com/{TRAJECTRON}/{commit}/{FOLDER}/{name}.txt" for commit in COMMITS)
    return DataFile(f"{name}.txt", hosts, size, sha256, folder="raw/eth_ucy", digest=eth_ucy.digest_of_positions)


ENTRIES = (
    DataSet(
        name="eth_ucy",
        title="ETH and UCY: pedestrians seen from above",
        files=(
            _recording("biwi_eth", 120_000, "1189a132348c375a05b367bb4e7711df755874327a58c531febcb2b55931a70c"),
            _recording("biwi_hotel", 160_000, "9dda59f65c0e873ac22efcf63d1df0a9c50139d5f6047856a6b2ed07c31f699c"),
            _recording("students001", 879_714, "a9e9d7a3dad455b1ad327746be6203acc654e07cdad9195b2d52e6b62db50330"),
            _recording("students003", 720_000, "46ac7b4db0d92069c82aa89347363ef6e07f1110cbcf37d72e2dbded8fe66d4c"),
            _recording("crowds_zara01", 205_711, "956a7518f9dc774006980bd95a390d89e831d2a584124aba8705c1a23b7ffc09"),
            _recording("crowds_zara02", 390_000, "d7fd1a9141e003c729e004f9012568a558d8272c8ca413e18c0f384e1b9b181a"),
            _recording("crowds_zara03", 199_834, "7c34baa917ee86d44f5484ae2a358147a2fe785789993753f9fe5c3a2e6b4f65"),
            _recording("uni_examples", 110_000, "0c75217a88a020208d19f7cfe336f7b8080c5442cb6c9649379b549265e3e226"),
            DataFile(
                "seq_eth_obsmat.txt",
                tuple(
                    f"https://raw.githubusercontent.com/{OBSMAT.format(commit)}" for commit in ("97ec1d5e", "master")
                ),
                1_158_040,
                "d452ae2185ecb1164c2fdf31e75f6236f4c2ffc02c751a6b2ae921740cbc60d1",
                folder="raw/eth_ucy",
            ),
        ),
        alternative=(
            DataFile(
                "eth_ucy.parquet",
                (),
                723_060,
                "d161a604fb8f0fa74d6f4b58860918753ffc4233dc329b3aaf334bc67e16adf3",
                folder="prepared",
            ),
        ),
        licence="repository MIT; data for research",
        citation="Pellegrini, Ess, Schindler and van Gool (2009), You'll never walk alone: Modeling social behavior "
        "for multi-target tracking, ICCV, doi:10.1109/ICCV.2009.5459260; Lerner, Chrysanthou and Lischinski (2007), "
        "Crowds by example, Computer Graphics Forum 26(3):655-664, doi:10.1111/j.1467-8659.2007.01089.x",
        provenance="Pedestrians filmed from above, followed by hand, in metres on the ground. The files that the field "
        f"passes on are those of the repository {TRAJECTRON} at commit 1031c7bd; the corrected scene is obsmat.txt of "
        "the makers of ETH, from crowdbotp/OpenTraj at commit 97ec1d5e. Cut here into all windows of 20 positions, "
        "0.4 s apart (8 of the past, 12 of the future), of one pedestrian.",
        known_problems=(
            "The usual file of eth is too fast: its positions are .667 s apart and pass for .4 s. Constant velocity is "
            "off by 1.075 m on average and 2.28 m at the end there, and by .678 m and 1.344 m in eth corrected.",
            "eth and eth corrected are the same people, filmed once: learn from one of the two.",
            "The field leaves out windows in which nobody else walks, which are kept here. Constant velocity is off by "
            ".534 m and 1.148 m in the mean of the five scenes, and by .520 m and 1.141 m without them.",
            "Windows of a pedestrian overlap, and people walk together: the 24,334 windows of univ are 722 people in "
            "two recordings of three minutes.",
            "zara1, zara2 and zara3 show one street: as in the field, who leaves out one of them learns from the other "
            "two. univ and univ examples are one place, and left out together.",
            "Eight recordings in two cities, without vehicles, and nothing says where walls and doors are.",
        ),
        loader=lambda entry, paths: eth_ucy.read_tracks(paths, entry.data_card),
    ),
)
