import pytest
import torch
from tests.data.sounds import TIME_SERIES

from capsnet.data.time_series import read_ts
from capsnet.errors import UserError


def write(tmp_path, text):
    (tmp_path / "a.ts").write_text(text)
    return tmp_path / "a.ts"


def test_cases_have_their_channels_lengths_and_classes(tmp_path):
    # as Windows' editors save UTF-8
    data = read_ts(write(tmp_path, "\ufeff" + TIME_SERIES))
    assert data.class_names == ("a", "B")
    assert (data.labels.tolist(), data.lengths.tolist()) == ([0, 1], [3, 2])
    torch.testing.assert_close(data.sequences[0], torch.tensor([[1.5, 2, 3], [-1, 0, 0.1]]))
    assert data.sequences[1].tolist() == [[4, 5, 0], [6, 7, 0]]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("timeStamps false", "timeStamps true", "time stamps"),
        ("classLabel true a B", "classLabel false", "has no classes"),
        ("classLabel true a B", "classLabel true a B a", "names the class 'a' twice"),
        ("4,5:6,7", "4,5:6,7,8", "line 11: channels must have one length"),
        ("4,5:6,7:B", "4,5:6,7:b", "line 11: class 'b' is none of a, B"),
        ("4,5:6,7", "4,?:6,7", "line 11: could not convert"),
        ("4,5:6,7", "4,NaN:6,7", "line 11: a value is missing or not finite"),
        ("4,5:6,7", "4,5", "line 11: 1 channels, the first case has 2"),
        ("@problemName Small", "Small", "line 2: expected a line with @"),
        ("@data", "@date", "line 10: expected a line with @"),
        ("@data", "@", "line 10: expected a line with @"),
        ("1.5,2,3:-1,0,1e-1:a\n4,5:6,7:B\n", "", "holds no cases"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, before, after, message):
    assert before in TIME_SERIES
    with pytest.raises(UserError, match=message):
        read_ts(write(tmp_path, TIME_SERIES.replace(before, after)))


def test_a_binary_file_is_refused(tmp_path):
    (tmp_path / "a.ts").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        read_ts(tmp_path / "a.ts")
