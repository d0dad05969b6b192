"""A file of prices is read strictly, and a device that it does not name has no price."""

import pytest

from harness.cli.main import main
from harness.errors import UsageError
from harness.results.prices import read_prices

GOOD = "currency: EUR\nper_device_hour:\n  NVIDIA H200: 3.60\n  A small CPU: 0\n"


def read(tmp_path, text):
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    return read_prices(path)


def test_a_file_gives_the_price_of_an_hour_of_each_device(tmp_path):
    prices = read(tmp_path, GOOD)
    assert (prices.currency, prices.per_device_hour) == ("EUR", {"NVIDIA H200": 3.6, "A small CPU": 0})


def test_a_report_takes_prices_from_a_file(tmp_path, capsys):
    path = tmp_path / "prices.yaml"
    path.write_text("currency: EUR\nper_device_hour: {Intel: dear}\n")
    assert main(["report", "--sample", "--out", str(tmp_path), "--prices", str(path)]) == 2
    assert "prices.yaml:2: the price of Intel is 'dear'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty; prices need `currency` and `per_device_hour`"),
        ("- 1\n", "prices.yaml:1:"),
        (GOOD + "discount: 10\n", "prices.yaml:5: unknown key 'discount'. Valid: currency, per_device_hour"),
        (GOOD.replace("per_device", "per_devise"), "did you mean 'per_device_hour'?"),
        (
            GOOD.replace("3.60", "cheap"),
            "prices.yaml:3: the price of NVIDIA H200 is 'cheap'; give a number of 0 or more",
        ),
        (GOOD.replace("3.60", "-1"), "prices.yaml:3: the price of NVIDIA H200 is -1"),
        (GOOD.replace("3.60", "true"), "the price of NVIDIA H200 is True"),
        (GOOD.replace("3.60", ".inf"), "the price of NVIDIA H200 is inf"),
        (GOOD.replace("EUR", ""), "prices.yaml:1: currency is empty; give a short name such as EUR"),
        ("currency: EUR\n", "per_device_hour wants lines of `device name: price`"),
        ("currency: EUR\nper_device_hour: 3\n", "prices.yaml:2: per_device_hour wants lines"),
        (GOOD + "  NVIDIA H200: 4\n", "prices.yaml"),
    ],
)
def test_a_mistake_is_shown_where_it_was_made(tmp_path, text, said):
    with pytest.raises(UsageError) as refused:
        read(tmp_path, text)
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere.yaml.*cannot be read"):
        read_prices(tmp_path / "nowhere.yaml")
