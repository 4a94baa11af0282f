"""What a container says about its data."""

from dataclasses import dataclass

from sslbook.data.card import DataCard, Described, own_data_card, simulated_data_card


@dataclass
class Box(Described):
    data_card: DataCard


def test_a_container_is_named_and_sourced_by_its_card():
    box = Box(simulated_data_card("world", "A drawn world", "sslbook.worlds.shop", ["regular", "small"]))
    assert (box.name, box.source) == ("world", "simulated")
    assert Box(own_data_card("mine", "My table", ())).source == "real"


def test_only_a_simulated_card_shouts():
    drawn = simulated_data_card("world", "A drawn world", "sslbook.worlds.shop", ["regular"])._repr_html_()
    assert "SIMULATED" in drawn and "sslbook.worlds.shop" in drawn and "regular" in drawn
    assert "SIMULATED" not in own_data_card("mine", "My table", ["gaps"])._repr_html_()


def test_text_is_shown_as_text():
    assert "&lt;b&gt;" in own_data_card("mine", "<b>", ["a < b"])._repr_html_()
