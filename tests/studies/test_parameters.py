from capsnet.runs import RunConfig
from capsnet.studies.markdown import to_markdown
from capsnet.studies.parameters import count_drawing
from capsnet.studies.table import make_table


def test_what_a_run_recorded_is_taken():
    assert count_drawing(RunConfig(), {"parameters": 9, "decoder_parameters": 7}) == 7


def test_decoder_of_an_older_run_is_counted_from_its_model():
    # 160 x 512 + 512 + 512 x 1024 + 1024 + 1024 x 784 + 784, and 161,824 of the network
    config = RunConfig.from_defaults(model="efficient-capsnet")
    assert count_drawing(config, {"parameters": 161_824 + 1_411_344}) == 1_411_344


def test_networks_without_decoder_have_none():
    assert count_drawing(RunConfig.from_defaults(recon_weight=0.0), {"parameters": 6_804_224}) == 0
    assert count_drawing(RunConfig.from_defaults(model="baseline-cnn"), {"parameters": 35_445_522}) == 0


def test_network_of_another_size_is_not_guessed():
    assert count_drawing(RunConfig.from_defaults(data="affnist"), {"parameters": 13_475_648}) is None


def test_run_records_its_decoder(tiny_run):
    result = tiny_run.evaluation()
    assert result["decoder_parameters"] == 160 * 64 + 64 + 64 * 128 + 128 + 128 * 784 + 784
    assert result["decoder_parameters"] < result["parameters"]


def test_table_names_network_and_decoder_apart():
    made = make_table("speedrun-mnist", "quick", [], "capsnet reproduce")
    row = {**made["rows"][0], "parameters": 1_573_168, "decoder_parameters": 1_411_344}
    assert "| 1,573,168 (161,824 and a decoder of 1,411,344) |" in to_markdown({**made, "rows": [row]})
