import pytest

from capsnet.figures.elements import cards, command_block, figure, gallery, grid, pairs, section

UNSAFE, SAFE = '<b> & "', "&lt;b&gt; &amp; &quot;"


@pytest.mark.parametrize(
    "html",
    [
        section(UNSAFE, "content"),
        pairs({"name": UNSAFE}),
        pairs({UNSAFE: 1}),
        grid([UNSAFE], [["cell"]]),
        grid(["head"], [[UNSAFE]]),
        cards({"name": UNSAFE}),
        figure("name", b"", UNSAFE),
        figure(UNSAFE, b"", "caption"),
        gallery({UNSAFE: b""}, ""),
        command_block(UNSAFE),
    ],
)
def test_every_text_is_escaped(html):
    assert SAFE in html
    assert UNSAFE not in html


def test_nothing_to_show_gives_no_element():
    assert section("Title", "") == ""
    assert pairs({}) == ""


def test_gallery_opens_its_first_picture_and_shortens_headings():
    html = gallery({"manipulate-0": b"a", "manipulate-1": b"b"}, "manipulate-")
    assert html.count("<details open>") == 1
    assert (
        html.index("<summary>Capsule 0</summary>")
        < html.index('alt="manipulate-0"')
        < html.index("<summary>Capsule 1</summary>")
    )
