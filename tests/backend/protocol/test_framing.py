"""Frames from bytes in any pieces, and what is refused."""

import json

import pytest

from skysense.protocol.framing import LARGEST_FRAME_BYTES, FrameError, FrameReader, encode_frame

MESSAGE = {"kind": "Cancel", "job": 7, "text": "Zürich ☀"}


def test_a_frame_comes_back():
    assert FrameReader().feed(encode_frame(MESSAGE)) == [MESSAGE]


def test_byte_by_byte_and_two_at_once():
    reader, frames = FrameReader(), []
    for byte in encode_frame(MESSAGE) * 2:
        frames += reader.feed(bytes([byte]))
    assert frames == [MESSAGE, MESSAGE]
    assert reader.feed(encode_frame(MESSAGE) * 3) == [MESSAGE] * 3


def test_a_length_beyond_the_limit_is_refused_before_the_body_is_kept():
    reader = FrameReader()
    (error,) = reader.feed(b"Content-Length: %d\r\n\r\n" % (LARGEST_FRAME_BYTES + 1))
    assert isinstance(error, FrameError) and error.fatal
    assert reader.feed(b"x" * 1000) == []
    assert not reader._buffer


def test_the_largest_frame_is_taken():
    text = "a" * (LARGEST_FRAME_BYTES - len('{"t":""}'))
    assert FrameReader().feed(encode_frame({"t": text})) == [{"t": text}]
    with pytest.raises(FrameError):
        encode_frame({"t": text + "a"})


@pytest.mark.parametrize("body", [b"\xff\xfe{}", b"{", b"[1]", b'{"a": NaN}', b"[" * 100_000])
def test_after_a_bad_body_the_next_frame_is_read(body):
    framed = b"Content-Length: %d\r\n\r\n" % len(body) + body
    error, frame = FrameReader().feed(framed + encode_frame(MESSAGE))
    assert isinstance(error, FrameError) and not error.fatal
    assert frame == MESSAGE


@pytest.mark.parametrize("stream", [b"hello\r\n\r\n{}", b"Content-Length: -1\r\n\r\n", b"Content-Length: 1e3\r\n\r\n", b"x" * 300])
def test_a_broken_header_ends_the_stream(stream):
    reader = FrameReader()
    (error,) = reader.feed(stream)
    assert isinstance(error, FrameError) and error.fatal
    assert reader.feed(encode_frame(MESSAGE)) == []


def test_numbers_that_json_does_not_know_cannot_be_sent():
    with pytest.raises(ValueError):
        encode_frame({"x": float("nan")})
    assert json.loads(encode_frame(MESSAGE).split(b"\r\n\r\n", 1)[1]) == MESSAGE
